from __future__ import annotations

import numpy as np
import pytest

from fcnrt.export import reference
from fcnrt.export.to_onnx import export_onnx
from fcnrt.fcn_models.preprocessing import PREPROCESSING
from fcnrt.runtime.runners import optimized_graph
from fcnrt.runtime.segmenter import Segmenter


def test_layers_in_slices_compute_the_same(make_checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_checkpoint().model
    frames = np.random.default_rng(0).integers(0, 256, (2, 33, 65, 3), np.uint8)
    whole = reference.reference_logits(model, PREPROCESSING["imagenet_rgb"], frames)
    monkeypatch.setattr(reference, "_SLICE", 40_000)  # fc6 then has several, of which the last is smaller
    calls = []
    model.fc6.register_forward_hook(lambda *_: calls.append("forward" in vars(model.fc6)))
    sliced = reference.reference_logits(model, PREPROCESSING["imagenet_rgb"], frames)
    assert calls == [True]
    assert "forward" not in vars(model.fc6)
    np.testing.assert_allclose(sliced, whole, rtol=0, atol=1e-5 * float(np.abs(whole).max()))


def test_a_large_file_is_compared_as_well_without_the_networks_weights(
    make_checkpoint, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(optimized_graph, "_LARGE", 1)
    checkpoint = make_checkpoint()
    result = export_onnx(checkpoint, tmp_path / "net.onnx", outputs=("class_map", "logits"), consume=True)
    assert sum(size.differing for size in result.parity.sizes) <= 10
    assert all(parameter.numel() == 0 for parameter in checkpoint.model.parameters())


def test_nothing_of_a_draft_stays_in_the_users_cache(make_checkpoint, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("FCNRT_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(optimized_graph, "_LARGE", 1)
    export_onnx(make_checkpoint(), tmp_path / "net.onnx")
    assert not list(tmp_path.glob("cache/**/*.onnx"))
    Segmenter.open(tmp_path / "net.onnx", device="cpu").close()  # opened by a user it does stay
    assert list(tmp_path.glob("cache/**/*.onnx"))
