"""`fcnrt run` without a cluster: pictures or a video on this machine."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from ..runtime.errors import SourceError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..runtime.images.class_shares import ClassShares
    from ..runtime.run.outputs import Save
    from ..runtime.run.pipeline import StageTimes
    from ..runtime.segmenter import Segmenter
    from ..runtime.sources import ImageSource, VideoSource
    from ..runtime.video.reader import VideoFacts

_CLASSES_SHOWN = 4
_SKIPPED_SHOWN = 5


@dataclass(frozen=True)
class RunOptions:
    """How sources are segmented.

    Attributes:
        save: Form of the results.
        opacity: Weight of the class colours in an overlay, 0..1.
        batch: Frames in a call.
        times: Where to note how busy the stages were; None if nobody wants to know.
    """

    save: Save
    opacity: float
    batch: int
    times: StageTimes | None


def run_images(segmenter: Segmenter, title: str, source: ImageSource, results: list[Path], options: RunOptions) -> None:
    """Segment pictures and say what became of them.

    Args:
        segmenter: The network.
        title: What it is, in words.
        source: The pictures.
        results: The file to write for each.
        options: How to.

    Raises:
        SourceError: If a single picture cannot be read; of several, the broken ones are listed.
        Exit: With code 1 if pictures were broken, 130 after Ctrl-C.
    """
    from ..runtime.images.class_shares import ClassShares
    from ..runtime.run.segment_images import segment_images
    from .console import counted, say
    from .progress import progress_bar

    total = len(source.files)
    title = f"{title} · {counted(total, 'image')}"
    if not source.single:  # a single image may still turn out to be broken, which is one line
        say(title)
    shares = ClassShares(segmenter.spec.class_names)
    failures: list[SourceError] = []
    interrupted = False
    with progress_bar(total, "images/s") as advance:

        def on_result(class_map: NDArray[np.uint8] | None) -> None:
            if class_map is not None:
                shares.add(class_map)
            advance()

        try:
            failures = segment_images(
                segmenter,
                source.files,
                results,
                save=options.save,
                opacity=options.opacity,
                batch=options.batch,
                on_result=on_result,
                times=options.times,
            )
        except KeyboardInterrupt:
            interrupted = True

    if source.single and failures:
        raise failures[0]
    if source.single:
        say(title)
    if shares.frame_count:
        written = results[0] if source.single else Path(os.path.commonpath([path.parent for path in results]))
        _report(written, f"{shares.frame_count:,} of {total:,} images", shares, options.times)
    for path in source.skipped[:_SKIPPED_SHOWN]:
        say(f"  {path}: not an image (skipped)")
    if len(source.skipped) > _SKIPPED_SHOWN:
        say(f"  and {len(source.skipped) - _SKIPPED_SHOWN:,} more files that are not images (skipped)")
    for failure in failures:
        say(f"  {failure}")
    if interrupted:
        raise typer.Exit(130)
    if failures:
        raise typer.Exit(1)


def run_video(segmenter: Segmenter, title: str, source: VideoSource, result: Path, options: RunOptions) -> None:
    """Segment a video and say what became of it; frames before a failure or Ctrl-C are kept.

    Args:
        segmenter: The network.
        title: What it is, in words.
        source: The video.
        result: The file or folder to write.
        options: How to.

    Raises:
        SourceError: If the video cannot be read to its end.
        KeyboardInterrupt: After Ctrl-C.
    """
    from ..runtime.images.class_shares import ClassShares
    from ..runtime.run.pipeline import StageTimes
    from ..runtime.run.segment_video import segment_video
    from ..runtime.video.audio import describe_audio
    from ..runtime.video.reader import VideoReader
    from .console import counted, say
    from .progress import progress_bar

    shares = ClassShares(segmenter.spec.class_names)
    times = options.times or StageTimes()
    stopped: SourceError | KeyboardInterrupt | None = None
    with VideoReader(source, channel_order=segmenter.spec.channel_order, device=segmenter.device) as reader:
        audio = "frames only" if options.save == "classes" else describe_audio(reader.audio)
        say(f"{title} · {_describe_video(reader.facts)}, {audio}")
        with progress_bar(reader.facts.frame_count, "fps") as advance:

            def on_result(class_map: NDArray[np.uint8]) -> None:
                shares.add(class_map)
                advance()

            try:
                segment_video(
                    segmenter,
                    reader,
                    result,
                    save=options.save,
                    opacity=options.opacity,
                    batch=options.batch,
                    on_result=on_result,
                    times=times,
                )
            except (SourceError, KeyboardInterrupt) as exc:
                stopped = exc

    if shares.frame_count:
        amount = counted(shares.frame_count, "frame")
        if times.dropped:
            amount += f", {times.dropped:,} dropped to keep up"
        _report(result, amount, shares, options.times, waits_for_source=reader.is_paced)
        if times.sound_lost:
            say(f"  sound: {counted(times.sound_lost, 'piece')} damaged or repeated, left out")
    if stopped is not None:
        raise stopped


def _describe_video(facts: VideoFacts) -> str:
    # Width first, as everywhere in video; sizes of frames and models are height first.
    parts = [f"{facts.size.width}x{facts.size.height}"]
    if facts.size.width % 2 or facts.size.height % 2:
        parts[0] += " (padded to even)"
    if facts.fps is not None:
        parts.append(f"{float(facts.fps):.4g} fps")
    if facts.duration_s is not None:
        minutes, seconds = divmod(facts.duration_s, 60)
        parts.append(f"{minutes:.0f} min {seconds:.0f} s" if minutes else f"{seconds:.3g} s")
    return ", ".join(parts)


def _report(
    written: Path, amount: str, shares: ClassShares, times: StageTimes | None, *, waits_for_source: bool = False
) -> None:
    from .console import say

    typer.echo(written)
    largest = [f"{name} {share:.1%}".replace("%", " %") for name, share in shares.largest()]
    rest = ["..."] if len(largest) > _CLASSES_SHOWN else []
    say(f"  {amount} · " + "  ".join(largest[:_CLASSES_SHOWN] + rest))
    if times is not None:
        stages = [("inference", times.transform_s, None), ("writing", times.write_s, times.write_by)]
        if not waits_for_source:  # else reading is mostly waiting, which cannot be told from work
            stages.insert(0, ("reading", times.read_s, times.read_by))
        busy = ", ".join(
            f"{name} {seconds / times.wall_s:.0%}".replace("%", " %") + (f" ({hardware})" if hardware else "")
            for name, seconds, hardware in stages
        )
        if waits_for_source:
            decoder = f" ({times.read_by})" if times.read_by else ""
            busy += f"; reading{decoder} keeps the pace of the source"
        say(f"  {shares.frame_count / times.wall_s:.4g} frames/s in {times.wall_s:.1f} s; busy: {busy}")
