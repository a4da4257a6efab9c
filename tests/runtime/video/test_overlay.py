from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray

from fcnrt.runtime.images.overlay import ClassPainter
from fcnrt.runtime.run.segment_video import segment_video
from fcnrt.runtime.segmenter import Segmenter
from fcnrt.runtime.sources import find_source
from fcnrt.runtime.video.color import VideoColor
from fcnrt.runtime.video.overlay import PlanePainter, has_planes_to_paint
from fcnrt.runtime.video.reader import TimedFrame, VideoReader

MakeVideo = Callable[..., Path]
MakeSegmenter = Callable[..., Segmenter]

PALETTE = [(0, 0, 0), (128, 0, 0), (0, 128, 0), (0, 0, 255), (224, 224, 192)]
BT709, BT601, BT2020 = VideoColor(1, 1, 1), VideoColor(6, 6, 6), VideoColor(9, 9, 14)

_NEEDS_BT2020 = pytest.mark.skipif(
    int(av.__version__.split(".")[0]) < 18, reason="PyAV before 18 does not pass the matrix of BT.2020 on"
)


def _frame(color: VideoColor, *, height: int = 64, width: int = 80) -> av.VideoFrame:
    """A frame of smooth colours, whose conversion to 4:2:0 and back loses little."""
    rows, columns = np.mgrid[0:height, 0:width]
    image = np.stack([60 + rows, 200 - columns, 90 + rows // 2], axis=2).astype(np.uint8)
    return av.VideoFrame.from_ndarray(image, format="rgb24").reformat(
        format="yuv420p", dst_colorspace=color.scaler_matrix, dst_color_range=ColorRange.MPEG
    )


def _rgb(frame: av.VideoFrame, color: VideoColor) -> NDArray[np.int64]:
    return frame.to_ndarray(format="rgb24", src_colorspace=color.scaler_matrix).astype(np.int64)


def _planes(frame: av.VideoFrame) -> NDArray[np.uint8]:
    return np.asarray(frame.to_ndarray(format="yuv420p"), np.uint8)


@pytest.mark.parametrize(
    "color",
    [
        pytest.param(BT709, id="BT.709"),
        pytest.param(BT601, id="BT.601"),
        pytest.param(BT2020, id="BT.2020", marks=_NEEDS_BT2020),
    ],
)
@pytest.mark.parametrize("opacity", [0.3, 1.0])
def test_the_colours_are_those_of_painting_in_rgb(color: VideoColor, opacity: float) -> None:
    frame = _frame(color)
    class_map = np.zeros((64, 80), np.uint8)
    for number in range(5):
        class_map[8:56, 16 * number : 16 * (number + 1)] = number

    painted = _rgb(PlanePainter(PALETTE, color, opacity=opacity).overlay(frame, class_map), color)

    expected = ClassPainter(PALETTE).overlay(_rgb(frame, color).astype(np.uint8), class_map, opacity=opacity)
    for number in range(5):
        inside = np.s_[12:52, 16 * number + 4 : 16 * number + 12]  # chroma is interpolated across the borders
        assert np.abs(painted[inside] - expected[inside]).max() <= 5


def test_the_background_keeps_its_bytes_and_the_frame_is_not_changed() -> None:
    frame = _frame(BT601)
    before = _planes(frame)
    class_map = np.zeros((64, 80), np.uint8)
    class_map[:32] = 1

    painted = _planes(PlanePainter(PALETTE, BT601, opacity=0.5).overlay(frame, class_map))

    np.testing.assert_array_equal(_planes(frame), before)
    np.testing.assert_array_equal(painted[32:64], before[32:64])
    assert (painted[:32] != before[:32]).mean() > 0.9
    chroma_before, chroma = before[64:].reshape(2, 32, 40), painted[64:].reshape(2, 32, 40)
    np.testing.assert_array_equal(chroma[:, 16:], chroma_before[:, 16:])
    assert (chroma[:, :16] != chroma_before[:, :16]).mean() > 0.9


def test_frames_that_need_rgb_are_told_apart() -> None:
    assert has_planes_to_paint(_frame(BT601), BT601)
    assert not has_planes_to_paint(_frame(BT601, height=63), BT601)
    assert not has_planes_to_paint(_frame(BT601, width=79), BT601)
    assert not has_planes_to_paint(_frame(BT601).reformat(format="yuv422p"), BT601)
    full = _frame(BT601)
    full.color_range = ColorRange.JPEG
    assert not has_planes_to_paint(full, BT601)
    changed = _frame(BT601)
    changed.colorspace = Colorspace.ITU709
    assert not has_planes_to_paint(changed, BT601)


def test_opacity_is_checked() -> None:
    with pytest.raises(ValueError, match=r"opacity is 0 \(not visible\) to 1 \(covers the frame\), got 1.5"):
        PlanePainter(PALETTE, BT601, opacity=1.5)


def test_a_segmented_video_looks_the_same_upright_as_turned(
    tmp_path: Path, make_video: MakeVideo, make_segmenter: MakeSegmenter
) -> None:
    """Upright frames are painted in their planes, turned ones in RGB."""
    images = {}
    for rotation in (0, 180):
        source = make_video(tmp_path / f"{rotation}.mp4", rotation=rotation)
        result = tmp_path / f"{rotation}-overlay.mp4"
        with VideoReader(find_source(str(source))) as reader:  # type: ignore[arg-type]
            segment_video(make_segmenter(), reader, result)
        with VideoReader(find_source(str(source))) as reader:  # type: ignore[arg-type]
            first = next(item for item in reader if isinstance(item, TimedFrame))
            assert (first.decoded is not None) == (rotation == 0)
        with VideoReader(find_source(str(result))) as reader:  # type: ignore[arg-type]
            images[rotation] = next(item.image for item in reader if isinstance(item, TimedFrame)).astype(int)
    difference = np.abs(images[0] - images[180][::-1, ::-1])
    assert np.median(difference) <= 2
    assert difference.mean() <= 4


def test_the_smallest_frame() -> None:
    frame = _frame(BT601, height=2, width=2)
    painted = PlanePainter(PALETTE, BT601, opacity=0.5).overlay(frame, np.ones((2, 2), np.uint8))
    assert (_planes(painted) != _planes(frame)).all()
