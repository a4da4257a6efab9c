from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from fcnrt.benchmarks.published.latency import FCNRT, PYTORCH, USUAL_ROUTE, Network, compare_routes
from fcnrt.benchmarks.random_network import random_checkpoint
from fcnrt.benchmarks.route import Route, require_agreement
from fcnrt.benchmarks.timing import WarmUp
from fcnrt.benchmarks.torch_runner import TorchRunner, torch_device
from fcnrt.benchmarks.usual_route import UsualRoute
from fcnrt.datasets.synthetic import render_scene
from fcnrt.export.reference import reference_logits
from fcnrt.fcn_models.fcn import FCNConfig
from fcnrt.fcn_models.preprocessing import PREPROCESSING
from fcnrt.runtime.errors import DeviceError, ParityError
from fcnrt.runtime.segmenter import Segmenter
from fcnrt.runtime.spec import ImageSize

RGB = PREPROCESSING["imagenet_rgb"]


def scene(text: str) -> NDArray[np.uint8]:
    return render_scene(5, 1, ImageSize.parse(text)).image


@pytest.mark.parametrize("size", ["64x96", "101x67"])
def test_every_route_computes_what_pytorch_computes(tiny_network: Network, size: str) -> None:
    frame = scene(size)
    logits = reference_logits(tiny_network.checkpoint.model, RGB, frame[None])[0]
    with Segmenter.open(tiny_network.onnx_path, device="cpu") as segment:
        routes: dict[str, Route] = {
            "fcnrt": segment,
            "usual route": UsualRoute(tiny_network.usual_path, RGB),
            "PyTorch": TorchRunner(tiny_network.checkpoint.model, RGB),
        }
        require_agreement(routes, frame, logits)


def test_the_usual_route_and_pytorch_agree_on_bgr_networks_too(tiny_network: Network) -> None:
    frame, bgr = scene("64x96"), PREPROCESSING["caffe_bgr"]
    logits = reference_logits(tiny_network.checkpoint.model, bgr, frame[None])[0]
    routes = {
        "usual": UsualRoute(tiny_network.usual_path, bgr),
        "torch": TorchRunner(tiny_network.checkpoint.model, bgr),
    }
    require_agreement(routes, frame, logits)


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        (lambda right, frame: right(frame[..., ::-1].copy()), "route disagrees with PyTorch on [0-9,]+ of 6,144"),
        (lambda right, frame: right(frame).astype(np.int64), r"returns int64 \(64, 96\); .* uint8 \(64, 96\)"),
        (lambda right, frame: right(frame)[:-1], r"returns uint8 \(63, 96\)"),
        (lambda right, frame: right(frame) | np.uint8(8), r"returns class \d+; there are 5 classes"),
    ],
    ids=["red and blue swapped", "type", "shape", "no such class"],
)
def test_a_route_that_computes_something_else_is_refused(
    tiny_network: Network, mistake: Callable[[Route, NDArray[np.uint8]], NDArray[np.uint8]], message: str
) -> None:
    frame = scene("64x96")
    logits = reference_logits(tiny_network.checkpoint.model, RGB, frame[None])[0]
    right = TorchRunner(tiny_network.checkpoint.model, RGB)
    with pytest.raises(ParityError, match=message):
        require_agreement({"wrong route": partial(mistake, right)}, frame, logits)


def test_ties_may_fall_either_way() -> None:
    logits = np.zeros((3, 2, 2), np.float32)
    logits[0] = 1
    logits[1, 0] = 1 - 1e-6  # nearly the same: class 1 is right as well
    logits[2, 1] = 2
    frame = np.zeros((2, 2, 3), np.uint8)
    require_agreement({"route": lambda frame: np.array([[1, 0], [2, 2]], np.uint8)}, frame, logits)
    with pytest.raises(ParityError, match="on 1 of 4 pixels"):
        require_agreement({"route": lambda frame: np.array([[1, 0], [2, 1]], np.uint8)}, frame, logits)


def test_a_frame_of_one_class_proves_nothing() -> None:
    with pytest.raises(ParityError, match="one class in the whole frame"):
        require_agreement({}, np.zeros((2, 2, 3), np.uint8), np.zeros((3, 2, 2), np.float32))


def test_random_networks_have_diverse_answers_and_repeat() -> None:
    config = FCNConfig(variant="fcn8s", width=1 / 16, fc_channels=16)
    first, again = (TorchRunner(random_checkpoint(config, seed=4).model, RGB)(scene("64x64")) for _ in range(2))
    assert np.array_equal(first, again)
    assert len(np.unique(first)) > 3


def test_the_row_compares_with_the_routes_that_were_named(tiny_network: Network) -> None:
    row = compare_routes(
        tiny_network,
        ImageSize(40, 56),
        name="tiny",
        title="Tiny",
        at_least={USUAL_ROUTE: 1e-6, PYTORCH: 1e6},
        rounds=3,
        warm_up=WarmUp(window=1, max_rounds=2),
    )
    assert {name: len(samples) for name, samples in row.samples.items()} == {FCNRT: 3, USUAL_ROUTE: 3, PYTORCH: 3}
    assert [outcome.met for outcome in row.outcomes] == [True, False]
    assert row.outcomes[0].meaning == "times as fast as the usual route"
    assert "40x56" in row.scope
    # Faster means a ratio above 1: the other's time over fcnrt's.
    ratios = np.array(row.samples[PYTORCH]) / np.array(row.samples[FCNRT])
    assert row.outcomes[1].value == pytest.approx(np.median(ratios), rel=1e-3)


def test_int8_may_differ_a_little_and_not_more(tiny_network: Network) -> None:
    frame = scene("64x96")
    logits = reference_logits(tiny_network.checkpoint.model, RGB, frame[None])[0]
    expected = logits.argmax(0).astype(np.uint8)
    worst = logits.argmin(0).astype(np.uint8)
    few, many = expected.copy(), expected.copy()
    few[:5, :12] = worst[:5, :12]  # 60 of 6,144 pixels are less than 1 %
    many[:12] = worst[:12]
    require_agreement({"few": lambda _: few}, frame, logits, precision="int8")
    with pytest.raises(ParityError, match="few disagrees with PyTorch on 60 of 6,144"):
        require_agreement({"few": lambda _: few}, frame, logits)
    with pytest.raises(ParityError, match="many disagrees with PyTorch on"):
        require_agreement({"many": lambda _: many}, frame, logits, precision="int8")


@pytest.mark.parametrize(
    ("count", "asked", "given"), [(0, "auto", "cpu"), (2, "auto", "cuda:0"), (2, "cuda:1", "cuda:1")]
)
def test_the_device_of_pytorch(monkeypatch: pytest.MonkeyPatch, count: int, asked: str, given: str) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    assert torch_device(asked) == given
    assert torch_device("cpu") == "cpu"
    with pytest.raises(DeviceError, match="PyTorch has no cuda:2 here; take --device cpu"):
        torch_device("cuda:2")
