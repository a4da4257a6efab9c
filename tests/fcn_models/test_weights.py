from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fcnrt.fcn_models.published import PUBLISHED
from fcnrt.fcn_models.weights import bundled, fetch
from fcnrt.runtime.errors import CheckpointError


@pytest.mark.parametrize(
    "name", ["vgg16-imagenet", "voc-fcn32s", "voc-fcn16s", "voc-fcn8s", "voc-fcn8s_atonce", "coco-fcn_resnet50"]
)
def test_a_file_in_the_cache_is_not_downloaded_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("FCNRT_CACHE_DIR", str(tmp_path))
    path = tmp_path / "weights" / PUBLISHED[name].name
    path.parent.mkdir()
    path.write_bytes(b"weights")
    assert fetch(name) == path
    (tmp_path / path.name).write_bytes(b"weights")
    assert fetch(name, cache_dir=tmp_path) == tmp_path / path.name


def test_published_files_have_names_addresses_and_hashes_of_their_own() -> None:
    for kind in ("name", "url", "digest", "page"):
        assert len({getattr(remote, kind) for remote in PUBLISHED.values()}) == len(PUBLISHED)
    for remote in PUBLISHED.values():
        assert remote.url.startswith("https://")
        assert len(remote.digest) in ((32,) if remote.algorithm == "md5" else (8, 64))
        assert set(remote.digest) <= set("0123456789abcdef")


def test_unknown_names_are_refused() -> None:
    with pytest.raises(
        CheckpointError, match="no published weights are called 'voc'; there are vgg16-imagenet, voc-fcn32s"
    ):
        fetch("voc")


def test_a_variant_without_demo_weights_is_named() -> None:
    with pytest.raises(CheckpointError, match=r"no demo weights for fcn4s \(.*fcn4s\.safetensors is missing\)"):
        bundled("fcn4s")


def test_finding_bundled_weights_needs_neither_torch_nor_http() -> None:
    code = "import sys, fcnrt.fcn_models.weights; sys.exit(bool({'torch', 'http.client'} & sys.modules.keys()))"
    subprocess.run([sys.executable, "-c", code], check=True)
