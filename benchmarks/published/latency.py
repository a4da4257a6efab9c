"""Time from a frame in memory to its class map in memory, against the other ways to get there."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ...datasets.synthetic import render_scene
from ...export.reference import reference_logits
from ...fcn_models.checkpoint import Checkpoint
from ...fcn_models.preprocessing import PREPROCESSING
from ...runtime.segmenter import Segmenter
from ...runtime.spec import ImageSize
from ..ratio import paired_ratio
from ..report import Outcome, Row
from ..route import Route, require_agreement
from ..timing import WarmUp, measure_alternately
from ..torch_runner import TorchRunner
from ..usual_route import UsualRoute

_SEED = 77  # of the frame; the time does not depend on what it shows

FCNRT = "fcnrt"
FCNRT_INT8 = "fcnrt INT8"
USUAL_ROUTE = "usual route"
PYTORCH = "PyTorch eager"
COMPILED = "torch.compile"

_ROUTES = {
    FCNRT: "the exported file in fcnrt's Segmenter",
    FCNRT_INT8: "the file exported in INT8 in fcnrt's Segmenter",
    USUAL_ROUTE: "plain torch.onnx.export in ONNX Runtime with default options, numpy normalisation and argmax",
    PYTORCH: "PyTorch eager in inference mode with default threads",
    COMPILED: "the same through torch.compile with default options",
}


@dataclass(frozen=True)
class Network:
    """A network to measure, before and after export.

    Attributes:
        checkpoint: The PyTorch module and what is known about it.
        onnx_path: The same network, exported by fcnrt.
        usual_path: The same network, exported by `export_usual_route`.
        int8_path: The same network, exported by fcnrt in INT8; None if it was not.
        int8_loss: Points of mIoU that it lost by that; None if nobody knows, as with random weights.
    """

    checkpoint: Checkpoint
    onnx_path: Path
    usual_path: Path
    int8_path: Path | None = None
    int8_loss: float | None = None


def compare_routes(
    network: Network,
    size: ImageSize,
    *,
    name: str,
    title: str,
    at_least: dict[str, float | None],
    rounds: int,
    warm_up: WarmUp,
    subject: str = FCNRT,
) -> Row:
    """Measure fcnrt against other routes on one frame, alternately.

    All routes are shown to compute the same class map first.

    Args:
        network: What to run.
        size: Size of the frame.
        name: Name of the row.
        title: Title of the row.
        at_least: The routes to compare with; each with the speed-up that is aimed at.
        rounds: Measured calls of each route.
        warm_up: When to begin measuring.
        subject: What is measured against them, `FCNRT` or `FCNRT_INT8`.

    Raises:
        ParityError: If a route computes something else.
    """
    preprocessing = PREPROCESSING[network.checkpoint.preprocessing]
    frame = render_scene(_SEED, 0, size).image
    logits = reference_logits(network.checkpoint.model, preprocessing, frame[None])[0]
    with ExitStack() as opened:

        def open_file(path: Path | None) -> Route:
            assert path is not None, "to measure INT8, export it"
            return opened.enter_context(Segmenter.open(path, device="cpu"))

        make: dict[str, Callable[[], Route]] = {
            FCNRT: lambda: open_file(network.onnx_path),
            FCNRT_INT8: lambda: open_file(network.int8_path),
            USUAL_ROUTE: lambda: UsualRoute(network.usual_path, preprocessing),
            PYTORCH: lambda: TorchRunner(network.checkpoint.model, preprocessing),
            COMPILED: lambda: TorchRunner(network.checkpoint.model, preprocessing, compiled=True),
        }
        routes = {key: make[key]() for key in (subject, *at_least)}
        for key, route in routes.items():
            require_agreement({key: route}, frame, logits, precision="int8" if key == FCNRT_INT8 else "fp32")
        calls: dict[str, Callable[[], object]] = {key: partial(route, frame) for key, route in routes.items()}
        timing = measure_alternately(calls, rounds=rounds, warm_up=warm_up)
    outcomes = []
    for other, target in at_least.items():
        ratio = paired_ratio(timing.samples_ms[other], timing.samples_ms[subject])
        outcomes.append(
            Outcome(
                value=ratio.value,
                meaning=f"times as fast as {'the ' if other == USUAL_ROUTE else ''}{other}",
                interval=(ratio.low, ratio.high),
                at_least=target,
            )
        )
    conditions: dict[str, float | bool] = {
        "warm_up_rounds": timing.warm_up_rounds,
        "warm_up_settled": timing.settled,
    }
    if FCNRT_INT8 in routes and network.int8_loss is not None:
        conditions["int8_miou_loss_points"] = network.int8_loss
    return Row(
        name=name,
        title=title,
        scope=(
            f"end to end: one uint8 RGB frame of {size} in memory to its uint8 class map in memory, batch 1, CPU; "
            + "; ".join(f"{key} = {_ROUTES[key]}" for key in routes)
            + "; called alternately in changing order in one process, class maps compared beforehand"
        ),
        unit="ms",
        samples=timing.samples_ms,
        outcomes=tuple(outcomes),
        conditions=conditions,
    )
