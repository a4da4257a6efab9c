from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from fcnrt.fcn_models.voc import voc_palette
from fcnrt.runtime.errors import FrameError
from fcnrt.runtime.images.palette_png import encode_palette_png


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (300, 1), (37, 53), (256, 256)])
def test_pillow_reads_back_indices_and_palette(shape: tuple[int, int]) -> None:
    class_map = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    with Image.open(io.BytesIO(encode_palette_png(class_map, voc_palette()))) as picture:
        picture.load()
    assert (picture.format, picture.mode) == ("PNG", "P")
    assert picture.size == (shape[1], shape[0])
    np.testing.assert_array_equal(np.asarray(picture), class_map)
    palette = picture.getpalette()
    assert palette is not None
    np.testing.assert_array_equal(np.reshape(palette, (-1, 3)), voc_palette())


def test_colours_are_those_of_the_palette() -> None:
    palette = [(10, 20, 30), (255, 0, 128)]
    with Image.open(io.BytesIO(encode_palette_png(np.array([[0, 1]], np.uint8), palette))) as picture:
        np.testing.assert_array_equal(np.asarray(picture.convert("RGB")), [palette])


def test_any_memory_layout_is_taken() -> None:
    class_map = np.arange(20, dtype=np.uint8).reshape(4, 5)
    view = class_map[::-1, ::2]
    assert encode_palette_png(view, voc_palette()) == encode_palette_png(view.copy(), voc_palette())


def test_a_class_map_is_far_smaller_than_its_pixels() -> None:
    class_map = np.zeros((512, 512), np.uint8)
    class_map[100:300, 150:400] = 7
    assert len(encode_palette_png(class_map, voc_palette())) < 5000


@pytest.mark.parametrize(
    "array", [np.zeros((4, 4), np.int64), np.zeros((4, 4, 3), np.uint8), np.zeros((0, 4), np.uint8)]
)
def test_what_is_no_class_map_is_refused(array: np.ndarray) -> None:
    with pytest.raises(FrameError, match=r"a class map is a uint8 array \(H, W\), got"):
        encode_palette_png(array, voc_palette())


def test_a_class_without_a_colour_is_refused() -> None:
    with pytest.raises(FrameError, match="holds class 2, but the palette has only 2 colours"):
        encode_palette_png(np.full((2, 2), 2, np.uint8), [(0, 0, 0), (1, 1, 1)])


@pytest.mark.parametrize("count", [0, 257])
def test_a_palette_has_1_to_256_colours(count: int) -> None:
    with pytest.raises(ValueError, match=f"1 to 256 colours, got {count}"):
        encode_palette_png(np.zeros((2, 2), np.uint8), [(0, 0, 0)] * count)
