"""The benchmarks whose figures are published: what each measures, with which network, how often."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ...runtime.cache import CACHE_DIR_VARIABLE
from ...runtime.errors import MissingDependencyError
from ...runtime.spec import ImageSize
from ..child_process import FCNRT_PROGRAM
from ..environment import Environment
from ..report import Row
from ..timing import WarmUp
from .networks import demo_int8_network, demo_network, engine_models, full_width_file, full_width_network
from .startup import first_class_map_command, measure_first_class_map, measure_help, measure_opening

if TYPE_CHECKING:
    from .latency import Network

_SIZE = ImageSize(512, 512)
_SELF_TEST_S = 1.0
_INT8_RATIO = {True: 2.0, False: 1.5}  # by whether the processor has instructions for it
_OTHER_SIZE = ImageSize(360, 640)


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What is measured and how often; the defaults are those of the published results.

    Attributes:
        demo: Makes the slim network; may write into the folder it is given.
        demo_int8: Makes it in INT8 as well.
        full_width: Makes the network of the paper's width, also in INT8.
        full_width_checkpoint: Makes a checkpoint of it.
        engine_models: Exported files whose engines' memory is estimated.
        size: Size of the frames.
        other_size: Size of the frames where the slim network is measured a second time.
        rounds: Measured calls of each route with the slim network.
        full_width_rounds: Measured calls of each route with the network of the paper's width.
        video_pairs: How often the frame rates are measured against each other.
        film_frames: Length of the shorter film.
        launches: How often a program is started.
        full_width_launches: How often one is started that opens the network of the paper's width.
        exports: How often a checkpoint is exported.
        compiled: Whether torch.compile takes part, which needs a C++ compiler and half a minute.
        warm_up: When to begin measuring calls.
        program: The command that is `fcnrt`.
        first_class_map: The command that is timed to its first class map.
    """

    demo: Callable[[Path], Network] = demo_network
    demo_int8: Callable[[Path], Network] = demo_int8_network
    full_width: Callable[[Path], Network] = full_width_network
    full_width_checkpoint: Callable[[Path], Path] = full_width_file
    engine_models: Callable[[], list[Path]] = engine_models
    size: ImageSize = _SIZE
    other_size: ImageSize = _OTHER_SIZE
    rounds: int = 60
    full_width_rounds: int = 20
    video_pairs: int = 7
    film_frames: int = 60
    launches: int = 20
    full_width_launches: int = 5
    exports: int = 1
    compiled: bool = True
    warm_up: WarmUp = field(default_factory=WarmUp)
    program: Sequence[str] = FCNRT_PROGRAM
    first_class_map: Sequence[str] = tuple(first_class_map_command(_SIZE))

    def repeated(self, times: int) -> Setup:
        """This setup with everything measured `times` times."""
        return dataclasses.replace(
            self,
            rounds=times,
            full_width_rounds=times,
            video_pairs=times,
            launches=times,
            full_width_launches=times,
            exports=times,
        )


def _help(setup: Setup, folder: Path) -> list[Row]:
    return [measure_help(folder, launches=setup.launches, program=setup.program)]


def _first_class_map(setup: Setup, folder: Path) -> list[Row]:
    return [measure_first_class_map(folder, launches=setup.launches, size=setup.size, command=setup.first_class_map)]


def _demo(setup: Setup, folder: Path) -> list[Row]:
    from .latency import PYTORCH, USUAL_ROUTE, compare_routes

    network = setup.demo(folder)
    # The targets hold at the usual size; the other one shows that nothing was tuned to it.
    targets: dict[ImageSize, dict[str, float | None]] = {
        setup.size: {USUAL_ROUTE: 1.5, PYTORCH: 2.7},
        setup.other_size: {USUAL_ROUTE: None, PYTORCH: None},
    }
    return [
        compare_routes(
            network,
            size,
            name=f"demo-{size}",
            title=f"Demo FCN-8s, {size}, frame to class map",
            at_least=at_least,
            rounds=setup.rounds,
            warm_up=setup.warm_up,
        )
        for size, at_least in targets.items()
    ]


def _demo_int8(setup: Setup, folder: Path) -> list[Row]:
    from .latency import COMPILED, FCNRT, FCNRT_INT8, PYTORCH, USUAL_ROUTE, compare_routes

    at_least: dict[str, float | None] = {USUAL_ROUTE: 2.0, PYTORCH: 4.0, COMPILED: 1.5, FCNRT: None}
    if not setup.compiled:
        del at_least[COMPILED]
    return [
        compare_routes(
            setup.demo_int8(folder),
            setup.size,
            name=f"demo-int8-{setup.size}",
            title=f"Demo FCN-8s in INT8, {setup.size}, frame to class map",
            at_least=at_least,
            rounds=setup.rounds,
            warm_up=setup.warm_up,
            subject=FCNRT_INT8,
        )
    ]


def _video(setup: Setup, folder: Path) -> list[Row]:
    from .video import measure_video

    return measure_video(
        setup.demo(folder).onnx_path,
        folder,
        frames=setup.film_frames,
        size=setup.size,
        pairs=setup.video_pairs,
        program=setup.program,
    )


def _self_test(setup: Setup, folder: Path) -> list[Row]:
    from .self_test import measure_self_test

    return [
        measure_self_test(
            setup.demo(folder).onnx_path,
            folder,
            name="self-test",
            network="demo FCN-8s",
            launches=setup.launches,
            at_most_s=_SELF_TEST_S,
            program=setup.program,
        )
    ]


def _engine_memory(setup: Setup, folder: Path) -> list[Row]:
    from ...runtime.engines.tensorrt_library import load_flavor
    from .engine_memory import measure_engine_memory

    try:
        library = load_flavor("tensorrt_rtx")
    except MissingDependencyError:  # there are packages for x86-64 only
        return []
    return [measure_engine_memory(setup.engine_models(), library)]


def _full_width(setup: Setup, folder: Path) -> list[Row]:
    from .latency import FCNRT, FCNRT_INT8, USUAL_ROUTE, compare_routes
    from .self_test import measure_self_test

    what, launches = "FCN-8s of the paper's width (random weights)", setup.full_width_launches
    network = setup.full_width(folder)
    with _own_cache(folder / "cache"):
        rows = [
            measure_self_test(
                network.onnx_path,
                folder,
                name="full-width-self-test",
                network=what,
                launches=launches,
                at_most_s=_SELF_TEST_S,
                program=setup.program,
            ),
            *measure_opening(network.onnx_path, folder, network=what, launches=launches),
        ]
        rows += [
            compare_routes(
                network,
                setup.size,
                name=f"full-width{suffix}-{setup.size}",
                title=f"{what}{addition}, {setup.size}, frame to class map",
                at_least={other: target},
                rounds=setup.full_width_rounds,
                warm_up=setup.warm_up,
                subject=subject,
            )
            for suffix, addition, subject, other, target in (
                ("", "", FCNRT, USUAL_ROUTE, 1.0),
                ("-int8", " in INT8", FCNRT_INT8, FCNRT, _INT8_RATIO[Environment.here().multiplies_int8]),
            )
        ]
    return rows


@contextmanager
def _own_cache(folder: Path) -> Iterator[None]:
    """Keep what is made of large files that are deleted afterwards out of the user's cache."""
    before = os.environ.get(CACHE_DIR_VARIABLE)
    os.environ[CACHE_DIR_VARIABLE] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ[CACHE_DIR_VARIABLE]
        else:
            os.environ[CACHE_DIR_VARIABLE] = before


def _export_memory(setup: Setup, folder: Path) -> list[Row]:
    from .export_memory import measure_export_memory
    from .self_test import measure_self_test

    checkpoint, exported = setup.full_width_checkpoint(folder), folder / "exported.onnx"
    return [
        measure_export_memory(checkpoint, exported, exports=setup.exports, program=setup.program),
        measure_self_test(
            exported,
            folder,
            name="padded-self-test",
            network="FCN-8s of the paper's width and padding (random weights)",
            launches=setup.full_width_launches,
            at_most_s=_SELF_TEST_S,
            program=setup.program,
        ),
    ]


def _bench_overhead(setup: Setup, folder: Path) -> list[Row]:
    from .overhead import measure_overhead

    model = setup.demo(folder).onnx_path
    return [measure_overhead(model, setup.size, rounds=setup.rounds, warm_up=setup.warm_up)]


def _installed_size(setup: Setup, folder: Path) -> list[Row]:
    from .footprint import measure_footprint

    return [measure_footprint()]


def _embedding(setup: Setup, folder: Path) -> list[Row]:
    from .embedding import measure_embedding

    return [measure_embedding(setup.demo(folder).onnx_path, folder, size=setup.size, rounds=setup.rounds)]


BENCHMARKS: dict[str, Callable[[Setup, Path], list[Row]]] = {
    # The quick ones first: what is broken shows early.
    "help": _help,
    "first-class-map": _first_class_map,
    "installed-size": _installed_size,
    "self-test": _self_test,
    "engine-memory": _engine_memory,
    "bench-overhead": _bench_overhead,
    "demo": _demo,
    "demo-int8": _demo_int8,
    "video": _video,
    "embedding": _embedding,
    "full-width": _full_width,
    "export-memory": _export_memory,
}
"""The benchmarks by name; each returns one row or several, and may write into the folder it is given."""
