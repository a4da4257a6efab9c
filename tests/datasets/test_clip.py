from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from fcnrt.datasets.clip import render_clip, write_clip
from fcnrt.runtime.errors import OutputError
from fcnrt.runtime.spec import ImageSize

SIZE = ImageSize(72, 128)


def test_the_film_opens_and_has_its_frames(tmp_path: Path) -> None:
    calls = []
    write_clip(tmp_path / "clip.mp4", seed=0, frames=12, fps=10, size=SIZE, on_frame=lambda: calls.append(1))
    with av.open(str(tmp_path / "clip.mp4")) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.average_rate == 10
        assert stream.pix_fmt == "yuv420p"
        decoded = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    assert len(decoded) == len(calls) == 12
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]
    for seen, drawn in zip(decoded, render_clip(0, 12, 10, SIZE), strict=True):
        assert np.abs(seen.astype(int) - drawn).mean() < 12


@pytest.mark.parametrize("seed", range(3))
def test_it_moves_smoothly(seed: int) -> None:
    frames = np.stack(list(render_clip(seed, 20, 30, SIZE))).astype(int)
    changes = np.abs(np.diff(frames, axis=0)).mean(axis=(1, 2, 3))
    assert changes.min() > 0.2
    assert changes.max() < 12
    assert changes.max() < 4 * np.median(changes)


def test_nothing_in_it_is_random() -> None:
    first, second = (list(render_clip(4, 2, 30, SIZE)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_seeds_make_different_films() -> None:
    first, second = (next(render_clip(seed, 1, 30, SIZE)) for seed in (0, 1))
    assert (first != second).mean() > 0.5


def test_odd_sizes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="even height and width, got 71x128"):
        write_clip(tmp_path / "clip.mp4", seed=0, frames=1, fps=10, size=ImageSize(71, 128))


def test_a_failure_leaves_no_file(tmp_path: Path) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_clip(tmp_path / "clip.mp4", seed=0, frames=5, fps=10, size=SIZE, on_frame=interrupt)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot write"):
        write_clip(tmp_path / "missing" / "clip.mp4", seed=0, frames=1, fps=10, size=SIZE)
