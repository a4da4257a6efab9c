"""Stages on other machines, made up: which one is blamed, for what, and what is let pass."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
import torch

from fcnrt.benchmarks.verify.diagnosis import diagnose
from fcnrt.benchmarks.verify.parity import ParityFrame, Stage, check_parity
from fcnrt.benchmarks.verify.reference import Reference
from fcnrt.fcn_models.checkpoint import Checkpoint
from fcnrt.runtime.errors import InferenceError, ParityError
from fcnrt.runtime.segmenter import Segmenter
from fcnrt.runtime.spec import ModelSpec

from .slim_checkpoint import make_checkpoint


class FakeEngine:
    """An engine on another machine: a `Runner` that computes logits with the given function."""

    backend, device = "tensorrt", "cuda:0"

    def __init__(self, spec: ModelSpec, logits: Callable[[np.ndarray], np.ndarray]) -> None:
        self.spec = spec
        self._logits = logits

    def run(self, frames: np.ndarray, outputs: object, *, class_map: object = None) -> dict[str, np.ndarray]:
        return {"class_map": np.stack([self._logits(frame).argmax(0) for frame in frames]).astype(np.uint8)}

    def close(self) -> None:
        pass


def spec_of(checkpoint: Checkpoint, tiny_spec: ModelSpec, **changes: object) -> ModelSpec:
    return dataclasses.replace(
        tiny_spec,
        class_names=checkpoint.class_names,
        palette=checkpoint.palette,
        checkpoint_sha256=checkpoint.sha256,
        **changes,
    )


def stage(name: str, runner: FakeEngine) -> Stage:
    return Stage(name, Segmenter(runner), runner.spec.precision, runner.spec.checkpoint_sha256)  # type: ignore[arg-type]


def test_engine_of_another_checkpoint(
    checkpoint: Checkpoint, reference: Reference, frames: list[ParityFrame], tiny_spec: ModelSpec
) -> None:
    other = dataclasses.replace(make_checkpoint(seed=1), sha256="cd" * 32)
    right = stage("fp32 graph", FakeEngine(spec_of(checkpoint, tiny_spec), reference.logits))
    wrong = stage("engine", FakeEngine(spec_of(other, tiny_spec), Reference(other).logits))
    parity = check_parity(reference, [right, wrong], frames)
    assert parity.hops[0].objections == []
    assert parity.broken is parity.hops[1]
    assert parity.broken.name == "fp32 graph -> engine"
    assert str(diagnose(reference, parity.broken)) == (
        "looks like: made from another checkpoint (it says sha256 cdcdcdcdcdcd…, the reference is 000000000000…, and "
        "no known mistake explains the differences)"
    )


def test_engine_that_hides_its_origin_stays_unexplained(
    checkpoint: Checkpoint, reference: Reference, frames: list[ParityFrame], tiny_spec: ModelSpec
) -> None:
    wrong = stage("engine", FakeEngine(spec_of(checkpoint, tiny_spec), Reference(make_checkpoint(seed=1)).logits))
    parity = check_parity(reference, [wrong], frames)
    assert parity.broken is not None
    assert str(diagnose(reference, parity.broken)).startswith("unexplained by any of ")


def test_half_precision_that_overflows(frames: list[ParityFrame], tiny_spec: ModelSpec) -> None:
    checkpoint = make_checkpoint()
    with torch.no_grad():
        checkpoint.model.conv2_1.weight *= 30_000
    reference = Reference(checkpoint, half=True)
    half = stage("engine", FakeEngine(spec_of(checkpoint, tiny_spec, precision="fp16"), reference.half_logits))
    exact = Stage("fp32 graph", lambda frame: reference.logits(frame).argmax(0).astype(np.uint8), "fp32")
    parity = check_parity(reference, [exact, half], frames)
    assert parity.broken is parity.hops[1]
    assert str(diagnose(reference, parity.hops[1])).startswith("looks like: FP16 overflow (100 % of pixels equal")


def test_a_reference_that_is_no_number_is_refused(frames: list[ParityFrame], tiny_spec: ModelSpec) -> None:
    checkpoint = make_checkpoint()
    torch.nn.init.constant_(checkpoint.model.score_fr.bias, torch.nan)
    reference = Reference(checkpoint)
    same = stage("fp32 graph", FakeEngine(spec_of(checkpoint, tiny_spec), reference.logits))
    with pytest.raises(ParityError, match="PyTorch's own logits are NaN or infinite on 65x33"):
        check_parity(reference, [same], frames)


def test_half_precision_that_is_scaled_passes(frames: list[ParityFrame], tiny_spec: ModelSpec) -> None:
    checkpoint = make_checkpoint()
    with torch.no_grad():
        checkpoint.model.conv2_1.weight *= 30_000
    reference = Reference(checkpoint, half=True, activation_scale_log2=-6)
    half = stage("engine", FakeEngine(spec_of(checkpoint, tiny_spec, precision="fp16"), reference.half_logits))
    parity = check_parity(reference, [half], frames)
    assert parity.passed
    assert parity.hops[0].ties > 0  # half precision does round


def test_noise_of_half_precision_in_another_order_passes(
    checkpoint: Checkpoint, frames: list[ParityFrame], tiny_spec: ModelSpec
) -> None:
    reference = Reference(checkpoint, half=True)
    error = max(float(np.abs(reference.half_logits(f.image) - reference.logits(f.image)).max()) for f in frames)
    random = np.random.default_rng(0)

    def noisy(frame: np.ndarray) -> np.ndarray:
        logits = reference.logits(frame)
        return logits + random.uniform(-error, error, logits.shape)

    parity = check_parity(
        reference, [stage("engine", FakeEngine(spec_of(checkpoint, tiny_spec, precision="fp16"), noisy))], frames
    )
    assert parity.passed
    assert parity.hops[0].differing > 10


def test_ties_pass(frames: list[ParityFrame], tiny_spec: ModelSpec) -> None:
    """Two classes with equal scores: whichever a backend takes is right."""
    tied = make_checkpoint()
    often = int(np.bincount(Reference(tied).logits(frames[1].image).argmax(0).ravel(), minlength=6)[:5].argmax())
    with torch.no_grad():
        for layer in (tied.model.score_fr, tied.model.score_pool4, tied.model.score_pool3):
            layer.weight[5], layer.bias[5] = layer.weight[often], layer.bias[often]
    reference = Reference(tied)
    in_favour = np.eye(6)[5][:, None, None] * 1e-9
    last = FakeEngine(spec_of(tied, tiny_spec), lambda frame: reference.logits(frame) + in_favour)
    parity = check_parity(reference, [stage("engine", last)], frames)
    assert parity.passed
    assert parity.hops[0].faults == 0
    assert parity.hops[0].ties > 1000


def test_a_stage_that_fails_is_blamed(reference: Reference, frames: list[ParityFrame]) -> None:
    def fails(frame: np.ndarray) -> np.ndarray:
        raise InferenceError("no kernel image is available")

    exact = Stage("fp32 graph", lambda frame: reference.logits(frame).argmax(0).astype(np.uint8), "fp32")
    parity = check_parity(reference, [exact, Stage("engine", fails, "fp16")], frames)
    assert parity.broken is parity.hops[1]
    assert parity.broken.objections == ["fails on 65x33: no kernel image is available (and on 3 more)"]
    assert str(diagnose(reference, parity.broken)) == "unexplained: no frame that differs could be examined"


def test_a_class_map_that_is_not_turned_back(reference: Reference, frames: list[ParityFrame]) -> None:
    turned = Stage("engine", lambda frame: reference.logits(frame).argmax(0).T.astype(np.uint8), "fp32")
    parity = check_parity(reference, [turned], frames)
    assert parity.broken is not None
    assert parity.broken.objections[0].startswith(
        "fails on 65x33: returns uint8 (33, 65), the frame's class map is uint8 (65, 33) (and on 3 more)"
    )
    assert str(diagnose(reference, parity.broken)).startswith("looks like: height and width swapped in the class map (")
