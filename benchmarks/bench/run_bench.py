"""The measuring of `fcnrt bench`: speed in three scopes, accuracy, memory; everybody on the same machine in one run."""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...datasets.data_folder import open_data
from ...datasets.labeled_image import LabeledImage
from ...datasets.synthetic import render_scene
from ...fcn_models.voc import VOC_CLASSES, VOC_VOID
from ...runtime.errors import InferenceError
from ...runtime.images.files import write_image
from ...runtime.run.segment_images import segment_images
from ...runtime.runners import Backend
from ...runtime.spec import ImageSize, ModelSpec
from ..environment import Environment
from ..timing import Timing, WarmUp, measure_alternately
from .accuracy import measure_accuracy
from .line_up import open_line_up
from .probe import Probe, probe
from .recipe import Recipe
from .report import ROUNDS_PER_PASS, Accuracy, BenchReport, Scope, Series
from .subject import Entry

HELD_OUT_SEED = 2
"""Seed of the scenes: the demo networks were trained on others, and their published scores are from these."""

SCENE_SIZE = ImageSize(320, 320)
"""Size of the scenes that accuracy is measured on, likewise."""

DEFAULT_SIZE = ImageSize(512, 512)
DEFAULT_SCENES = 200

# Enough for a percentile to mean something, few enough for networks that take seconds.
_MOST_ROUNDS, _FEWEST_ROUNDS = 60, 10
_BUDGET_S = 30.0  # for one size; what it buys in rounds depends on the network
_FEWEST_PASSES = 3
_SLOW_ROUND_S = 4.0
_WARM_UP_OF_SLOW = WarmUp(window=2, max_rounds=6)
_NO_WARM_UP = WarmUp(max_rounds=0)  # the calls before were one
_DEVICE_WARM_UP = 3  # calls; the same networks have just run

Progress = Callable[[float, str], None]
"""Told how much of the work is done, 0 to 1, and what comes next."""


@dataclass(frozen=True, kw_only=True)
class BenchSettings:
    """What to measure.

    Attributes:
        models: Exported files.
        sizes: Sizes of the frames whose time is measured.
        batches: Numbers of frames in a call, each measured at every size.
        backends: Libraries; all that work here if empty.
        device: ``cpu``, ``cuda``, ``cuda:N``, or ``auto``: every kind of device that works here.
        data: Labelled data set whose split ``val`` the accuracy is measured on; synthetic scenes if None.
        scenes: Pictures to measure the accuracy on.
        rounds: Measured calls in each scope, `ROUNDS_PER_PASS` for each pass from file to file; as many as half a
            minute allows if None.
        reference: The checkpoint that the models were exported from; see `open_line_up`.
        peers: Whether other ways to run the reference take part.
        scene_size: Size of the synthetic scenes.
        files: Pictures in a pass from file to file.
        warm_up: When to begin measuring; depends on how long a round takes if None.
    """

    models: Sequence[Path]
    sizes: Sequence[ImageSize] = (DEFAULT_SIZE,)
    batches: Sequence[int] = (1,)
    backends: Sequence[Backend] = ()
    device: str = "auto"
    data: Path | None = None
    scenes: int = DEFAULT_SCENES
    rounds: int | None = None
    reference: Path | None = None
    peers: bool = False
    scene_size: ImageSize = SCENE_SIZE
    files: int = 6
    warm_up: WarmUp | None = None


def run_bench(
    settings: BenchSettings,
    *,
    progress: Progress = lambda done, step: None,
    probe: Callable[[Recipe, ImageSize, int], Probe] = probe,
) -> BenchReport:
    """Measure.

    Args:
        settings: What.
        progress: Told about every step.
        probe: Measures loading and memory; it starts a process.

    Raises:
        FcnrtError: If something that was asked for cannot be measured.
    """
    environment = Environment.here()
    with ExitStack() as stack, tempfile.TemporaryDirectory(prefix="fcnrt-bench-") as folder:
        progress(0.0, "loading")
        line_up = open_line_up(
            stack,
            settings.models,
            backends=settings.backends,
            device=settings.device,
            reference=settings.reference,
            peers=settings.peers,
            folder=Path(folder),
        )
        entries, notes = list(line_up.entries), list(line_up.notes)
        spec = entries[-1].recipe.spec
        # Before anything slow: the data set may be incomplete.
        pictures, description, labelled, note = _pictures(spec, settings)
        if note is not None:
            notes.append(note)
        size, batch = settings.sizes[0], settings.batches[0]
        for index, entry in enumerate(entries):
            progress(0.02 + 0.08 * index / len(entries), f"{entry.member.name}: loading and memory")
            try:
                seen = probe(entry.recipe, size, batch)
            except InferenceError as exc:
                notes.append(f"loading and memory of {entry.member.name} could not be measured: {exc}")
                continue
            member = dataclasses.replace(entry.member, **dataclasses.asdict(seen))
            entries[index] = dataclasses.replace(entry, member=member)
        points = [(size, batch) for size in settings.sizes for batch in settings.batches]
        series: list[Series] = []
        for index, (size, batch) in enumerate(points):
            done = 0.1 + 0.5 * index / len(points)
            progress(done, f"speed at {size}{f', batch {batch}' if batch > 1 else ''}")
            calls = _measure_calls(entries, size, batch, settings)
            progress(done + 0.3 / len(points), f"from file to file at {size}")
            passes = max(_FEWEST_PASSES, len(calls[0].samples_ms) // ROUNDS_PER_PASS)
            series += calls
            series += measure_on_device(entries, size, batch, rounds=len(calls[0].samples_ms))
            series += _measure_pipeline(entries, size, batch, settings.files, passes, Path(folder) / str(index))
        accuracy = _measure_accuracy(entries, chain(_timed_frames(points), pictures), labelled, settings, progress)
    if environment.busy:
        notes.append(
            f"the machine was busy before this (load average {environment.load_average} on {environment.processors} "
            "processors); times mean little"
        )
    return BenchReport(
        environment=environment,
        title=_title(entries),
        pictures=description,
        class_names=spec.class_names,
        members=tuple(entry.member for entry in entries),
        series=tuple(series),
        accuracy=tuple(accuracy),
        notes=tuple(notes),
    )


def _title(entries: Sequence[Entry]) -> str:
    exported = [entry for entry in entries if entry.member.role == "fcnrt"]
    files = dict.fromkeys(entry.member.file for entry in exported)
    if len(files) > 1:
        return ", ".join(files)
    spec = exported[0].recipe.spec
    return f"{spec.variant} · {spec.source}"


def _scene_batch(size: ImageSize, batch: int) -> NDArray[np.uint8]:
    """Frames to time with, uint8 (N, H, W, 3), RGB; the time does not depend on what they show."""
    return np.stack([render_scene(HELD_OUT_SEED, index, size).image for index in range(batch)])


def _measure_calls(entries: Sequence[Entry], size: ImageSize, batch: int, settings: BenchSettings) -> list[Series]:
    """The scopes `infer` and `end_to_end`, measured in one alternation."""
    frames = _scene_batch(size, batch)
    calls: dict[str, Callable[[], object]] = {}
    of: dict[str, tuple[str, Scope]] = {}
    for entry in entries:
        subject, name = entry.subject, entry.member.name
        scopes: dict[Scope, Callable[[], object]] = {
            "infer": subject.infer_call(frames),
            "end_to_end": subject.end_to_end_call(frames),
        }
        for scope, call in scopes.items():
            key = f"{name} {scope}"
            calls[key], of[key] = call, (name, scope)
    start = time.perf_counter()
    for call in calls.values():
        call()
    round_s = time.perf_counter() - start
    rounds = settings.rounds or int(np.clip(_BUDGET_S / round_s, _FEWEST_ROUNDS, _MOST_ROUNDS))
    warm_up = settings.warm_up or (WarmUp() if round_s < _SLOW_ROUND_S else _WARM_UP_OF_SLOW)
    timing = measure_alternately(calls, rounds=rounds, warm_up=warm_up)
    return [_series(timing, key, *of[key], size=size, batch=batch) for key in calls]


DeviceClock = Callable[[Mapping[str, Callable[[], object]], str, int], Mapping[str, tuple[float, ...]]]
"""Takes calls, the GPU they work on and a number of rounds; returns the times of each call in milliseconds."""


def _between_events(
    calls: Mapping[str, Callable[[], object]], device: str, rounds: int
) -> Mapping[str, tuple[float, ...]]:
    import torch

    from ..device_timing import time_on_device

    return time_on_device(calls, torch.device(device), rounds=rounds)


def measure_on_device(
    entries: Sequence[Entry], size: ImageSize, batch: int, *, rounds: int, clock: DeviceClock = _between_events
) -> list[Series]:
    """The scope `device`, for those who work on a GPU.

    Args:
        entries: Everybody.
        size: Size of the frames.
        batch: Frames in a call.
        rounds: Measured calls.
        clock: Measures the times.
    """
    frames = _scene_batch(size, batch)
    series = []
    for device in dict.fromkeys(entry.member.device for entry in entries if entry.member.device != "cpu"):
        calls = {
            entry.member.name: call
            for entry in entries
            if entry.member.device == device and (call := entry.subject.device_call(frames)) is not None
        }
        for call in [*calls.values()] * _DEVICE_WARM_UP:
            call()
        timing = Timing(
            samples_ms=clock(calls, device, rounds) if calls else {}, warm_up_rounds=_DEVICE_WARM_UP, settled=True
        )
        series += [_series(timing, name, name, "device", size=size, batch=batch) for name in calls]
    return series


def _measure_pipeline(
    entries: Sequence[Entry], size: ImageSize, batch: int, count: int, passes: int, folder: Path
) -> list[Series]:
    """The scope `pipeline`: all files of a folder, again and again."""
    folder.mkdir()
    files = [folder / f"{index:03}.jpg" for index in range(count)]
    for index, file in enumerate(files):
        write_image(file, render_scene(HELD_OUT_SEED, index, size).image)
    outputs = [file.with_suffix(".png") for file in files]

    def pass_of(entry: Entry) -> Callable[[], object]:
        return lambda: segment_images(entry.subject.segmenter, files, outputs, save="classes", batch=batch)

    calls = {entry.member.name: pass_of(entry) for entry in entries}
    timing = measure_alternately(calls, rounds=passes, warm_up=_NO_WARM_UP)
    return [_series(timing, name, name, "pipeline", size=size, batch=batch, frames=len(files)) for name in calls]


def _series(
    timing: Timing, key: str, member: str, scope: Scope, *, size: ImageSize, batch: int, frames: int = 1
) -> Series:
    return Series(
        member=member,
        scope=scope,
        size=str(size),
        batch=batch,
        samples_ms=tuple(sample / frames for sample in timing.samples_ms[key]),
        warm_up_rounds=timing.warm_up_rounds,
        settled=timing.settled,
    )


def _pictures(spec: ModelSpec, settings: BenchSettings) -> tuple[Iterable[LabeledImage], str, bool, str | None]:
    """Pictures to measure the accuracy on, what they are, whether their labels are the network's, and a note."""
    if settings.data is not None:
        folder = open_data(settings.data)
        data = folder.open("val", num_classes=spec.num_classes)
        count = min(settings.scenes, len(data))
        description = f"{count:,} of {len(data):,} pictures of {settings.data.name}, split val"
        return data[:count], description, True, folder.other_class(spec.class_names)
    scenes = (render_scene(HELD_OUT_SEED, index, settings.scene_size) for index in range(settings.scenes))
    plural = "" if settings.scenes == 1 else "s"
    description = f"{settings.scenes:,} synthetic scene{plural} of {settings.scene_size}, seed {HELD_OUT_SEED}"
    return scenes, description, spec.class_names == VOC_CLASSES, None


def _timed_frames(points: Iterable[tuple[ImageSize, int]]) -> Iterator[LabeledImage]:
    """A frame of each size that was timed, without labels: class maps are compared there, too."""
    for size in dict.fromkeys(size for size, _ in points):
        scene = render_scene(HELD_OUT_SEED, 0, size)
        yield dataclasses.replace(scene, label=np.full_like(scene.label, VOC_VOID))


def _measure_accuracy(
    entries: Sequence[Entry],
    pictures: Iterable[LabeledImage],
    labelled: bool,
    settings: BenchSettings,
    progress: Progress,
) -> list[Accuracy]:
    seen = 0

    def on_picture() -> None:
        nonlocal seen
        seen += 1
        progress(min(0.6 + 0.4 * seen / settings.scenes, 1.0), f"accuracy, {seen:,} pictures")

    progress(0.6, "accuracy")
    return measure_accuracy(
        {entry.member.name: entry.subject for entry in entries},
        {entry.member.name: entry.member.compared_with for entry in entries},
        pictures,
        labelled=labelled,
        on_picture=on_picture,
    )
