"""`fcnrt data`: make data sets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .parsing import parsed

if TYPE_CHECKING:
    from ..runtime.spec import ImageSize

data = typer.Typer(help="Make data sets.", no_args_is_help=True)

_LARGEST_SIDE = 8192  # JPEG and memory end somewhere above
_CLIP_NAME = "clip.mp4"
_CLIP_SIZE = "360x640"
_CLIP_SECONDS = 8
_CLIP_FPS = 30


@data.command()
def synth(
    out: Annotated[Path, typer.Argument(help="Folder to write: a new or empty one, or an earlier synthetic set.")],
    count: Annotated[int, typer.Option(min=2, help="Number of scenes; the last fifth is the split val.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Number of the set; different seeds share no scene.")] = 0,
    size: Annotated[str, typer.Option(metavar="HxW", help="Height and width of the scenes.")] = "256x256",
    video: Annotated[
        bool,
        typer.Option("--video", help=f"Also film a scene: {_CLIP_NAME}, {_CLIP_SECONDS} s at {_CLIP_SIZE} (HxW)."),
    ] = False,
) -> None:
    """Draw labelled scenes of the 20 PASCAL VOC classes, laid out as VOC lays out its data sets.

    The scenes depend on the seed alone: the same command writes the same pictures everywhere.
    """
    from ..datasets.clip import write_clip
    from ..datasets.voc_writer import write_voc
    from ..runtime.spec import ImageSize
    from .progress import progress_bar

    scene_size = parsed("--size", size, _scene_size)
    with progress_bar(count, "scenes/s") as advance:
        write_voc(out, count=count, seed=seed, size=scene_size, on_scene=advance)
    typer.echo(f"{out}: {count} scenes of {scene_size}, splits train, val, trainval")
    if video:
        frames, clip = _CLIP_SECONDS * _CLIP_FPS, out / _CLIP_NAME
        with progress_bar(frames, "frames/s") as advance:
            write_clip(
                clip, seed=seed, frames=frames, fps=_CLIP_FPS, size=ImageSize.parse(_CLIP_SIZE), on_frame=advance
            )
        typer.echo(f"{clip}: {_CLIP_SECONDS} s, {_CLIP_SIZE}, {_CLIP_FPS} fps")


def _scene_size(text: str) -> ImageSize:
    from ..runtime.spec import ImageSize

    size = ImageSize.parse(text)
    if max(size.height, size.width) > _LARGEST_SIDE:
        raise ValueError(f"{size} is too large; a scene has up to {_LARGEST_SIDE} pixels a side")
    return size
