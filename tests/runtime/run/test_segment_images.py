from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from fcnrt.runtime.errors import FrameError, InferenceError, OutputError
from fcnrt.runtime.images.files import read_image, write_image
from fcnrt.runtime.images.overlay import ClassPainter
from fcnrt.runtime.run.segment_images import segment_images
from fcnrt.runtime.segmenter import Segmenter
from fcnrt.runtime.spec import ModelSpec

MakeSegmenter = Callable[..., Segmenter]


def _picture(number: int, height: int = 20) -> NDArray[np.uint8]:
    return np.random.default_rng(number).integers(0, 256, (height, 30, 3), np.uint8)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Five images, the third of another size."""
    paths = [tmp_path / f"{number}.png" for number in range(5)]
    for number, path in enumerate(paths):
        write_image(path, _picture(number, height=26 if number == 2 else 20))
    return paths


def _outputs(files: list[Path]) -> list[Path]:
    return [path.parent / "out" / path.name for path in files]


@pytest.mark.parametrize("batch", [1, 2, 10])
def test_classes_are_palette_pngs(
    files: list[Path], make_segmenter: MakeSegmenter, tiny_spec: ModelSpec, batch: int
) -> None:
    batches: list[int] = []
    segmenter = make_segmenter(lambda number, frames: batches.append(len(frames)))

    assert segment_images(segmenter, files, _outputs(files), save="classes", batch=batch) == []

    for file, output in zip(files, _outputs(files), strict=True):
        with Image.open(output) as image:
            assert image.mode == "P"
            assert image.getpalette()[:9] == [value for color in tiny_spec.palette for value in color]  # type: ignore[index]
            np.testing.assert_array_equal(np.asarray(image), read_image(file).argmax(-1))
    assert batches == {1: [1] * 5, 2: [2, 1, 2], 10: [2, 1, 2]}[batch]


def test_overlay_and_color(files: list[Path], make_segmenter: MakeSegmenter, tiny_spec: ModelSpec) -> None:
    painter = ClassPainter(tiny_spec.palette)
    frame = read_image(files[0])
    class_map = frame.argmax(-1).astype(np.uint8)

    segment_images(make_segmenter(), files, _outputs(files), opacity=0.3)
    np.testing.assert_array_equal(read_image(_outputs(files)[0]), painter.overlay(frame, class_map, opacity=0.3))
    segment_images(make_segmenter(), files, _outputs(files), save="color")
    np.testing.assert_array_equal(read_image(_outputs(files)[0]), painter.colorize(class_map))


def test_broken_images_do_not_stop_the_others(files: list[Path], make_segmenter: MakeSegmenter) -> None:
    data = files[1].read_bytes()
    files[1].write_bytes(data[:700])
    files[3].write_bytes(b"")
    seen: list[bool] = []

    failures = segment_images(
        make_segmenter(), files, _outputs(files), on_result=lambda class_map: seen.append(class_map is not None)
    )

    assert [str(failure) for failure in failures] == [
        f"{files[1]}: truncated after 700 bytes; delete it or fetch it again",
        f"{files[3]}: empty (0 bytes); delete it or fetch it again",
    ]
    assert seen == [True, False, True, False, True]
    assert sorted(path.name for path in _outputs(files)[0].parent.iterdir()) == ["0.png", "2.png", "4.png"]


@pytest.mark.parametrize("batch", [1, 2, 10])
def test_images_that_an_engine_does_not_take_do_not_stop_the_others(
    files: list[Path], make_segmenter: MakeSegmenter, batch: int
) -> None:
    write_image(files[3], _picture(3, height=26))

    def refuse(number: int, frames: NDArray[np.uint8]) -> None:
        if frames.shape[1] == 26:
            raise FrameError("frames of 26x30 are outside the sizes this engine was built for")

    seen: list[bool] = []
    failures = segment_images(
        make_segmenter(refuse),
        files,
        _outputs(files),
        batch=batch,
        on_result=lambda class_map: seen.append(class_map is not None),
    )

    assert [str(failure) for failure in failures] == [
        f"{file}: frames of 26x30 are outside the sizes this engine was built for" for file in files[2:4]
    ]
    assert seen == [True, True, False, False, True]
    assert sorted(path.name for path in _outputs(files)[0].parent.iterdir()) == ["0.png", "1.png", "4.png"]


def test_results_that_cannot_be_written_stop_it(files: list[Path], make_segmenter: MakeSegmenter) -> None:
    blocked = files[0].parent / "out"
    blocked.write_text("a file where the folder should be")

    with pytest.raises(OutputError, match=r"cannot make the folder .*out: File exists"):
        segment_images(make_segmenter(), files, _outputs(files))


def test_a_failing_model_stops_it(files: list[Path], make_segmenter: MakeSegmenter) -> None:
    def fail(number: int, frames: NDArray[np.uint8]) -> None:
        if number == 3:
            raise InferenceError("out of memory")

    with pytest.raises(InferenceError, match="out of memory"):
        segment_images(make_segmenter(fail), files, _outputs(files))

    assert sorted(path.name for path in _outputs(files)[0].parent.iterdir()) == ["0.png", "1.png", "2.png"]
