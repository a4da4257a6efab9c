"""Segments what a GStreamer pipeline delivers, and hands the painted frames to another one.

    SOURCE ! appsink  ->  Segmenter  ->  appsrc ! SINK

Run it with GStreamer's own test picture:

    python segment_stream.py fcn8s.onnx "videotestsrc num-buffers=60" "jpegenc ! avimux ! filesink location=out.avi"
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import gi
import numpy as np
from numpy.typing import NDArray

gi.require_version("Gst", "1.0")
gi.require_version("GstApp", "1.0")
gi.require_version("GstVideo", "1.0")
from gi.repository import Gst, GstApp, GstVideo  # noqa: E402, F401  (GstApp gives appsink and appsrc their methods)

from fcnrt import Segmenter  # noqa: E402
from fcnrt.runtime.errors import FcnrtError  # noqa: E402
from fcnrt.runtime.images.overlay import ClassPainter  # noqa: E402


class StreamError(Exception):
    """A pipeline reported an error."""


def segment_stream(model: str, source: str, sink: str) -> int:
    """Run until the source ends; returns the number of frames.

    Args:
        model: Exported model file.
        source: What delivers video, in the notation of gst-launch.
        sink: What takes the painted frames, likewise.

    Raises:
        StreamError: If a pipeline cannot be made, or fails.
    """
    with Segmenter.open(model) as segment:
        order = segment.spec.channel_order
        painter = ClassPainter(segment.spec.palette, channel_order=order)
        # GStreamer's "RGB" and "BGR" are uint8 (H, W, 3), as the network takes them. Some frames wait in the sink, so
        # that decoding goes on while the network computes. For a camera add drop=true: late frames are of no use.
        caps = f"video/x-raw,format={order.upper()}"
        reading = launch(f"{source} ! videoconvert ! {caps} ! appsink name=frames sync=false max-buffers=4")
        writing = launch(f"appsrc name=frames format=time block=true max-buffers=4 ! videoconvert ! {sink}")
        frames, painted = reading.get_by_name("frames"), writing.get_by_name("frames")
        # Whoever waits to hand over a frame is woken if the pipeline behind has failed.
        writing.get_bus().enable_sync_message_emission()
        writing.get_bus().connect("sync-message::error", lambda *_: painted.emit("end-of-stream"))
        count = 0
        try:
            start(writing)
            start(reading)
            while (sample := next_sample(reading, frames)) is not None:
                frame = as_array(sample)
                overlay = painter.overlay(frame, segment(frame))
                painted.set_caps(sample.get_caps())
                if painted.emit("push-buffer", as_buffer(overlay, sample)) != Gst.FlowReturn.OK:
                    break
                count += 1
            painted.emit("end-of-stream")
            wait_for_end(writing)  # files are completed there
        finally:
            reading.set_state(Gst.State.NULL)
            writing.set_state(Gst.State.NULL)
    return count


def launch(description: str) -> Any:
    """A pipeline from the notation of gst-launch."""
    try:
        return Gst.parse_launch(description)
    except gi.repository.GLib.Error as exc:
        raise StreamError(f"{description}: {exc.message}") from exc


def start(pipeline: Any) -> None:
    """Let a pipeline run."""
    if pipeline.set_state(Gst.State.PLAYING) == Gst.StateChangeReturn.FAILURE:
        raise_error(pipeline.get_bus().timed_pop_filtered(Gst.SECOND, Gst.MessageType.ERROR))
        raise StreamError(f"{pipeline.get_name()} cannot be started")


def next_sample(pipeline: Any, sink: Any) -> Any:
    """The next sample of an appsink; None after the last one."""
    while not sink.get_property("eos"):
        if (sample := sink.emit("try-pull-sample", Gst.SECOND // 10)) is not None:
            return sample
        raise_error(pipeline.get_bus().pop_filtered(Gst.MessageType.ERROR))
    return None


def as_array(sample: Any) -> NDArray[np.uint8]:
    """The sample's picture, uint8 (H, W, 3), without the padding at the ends of GStreamer's rows."""
    info = GstVideo.VideoInfo.new_from_caps(sample.get_caps())
    buffer = sample.get_buffer()
    rows = np.frombuffer(buffer.extract_dup(0, buffer.get_size()), np.uint8)
    rows = rows[: info.height * info.stride[0]].reshape(info.height, info.stride[0])
    return np.ascontiguousarray(rows[:, : info.width * 3]).reshape(info.height, info.width, 3)


def as_buffer(image: NDArray[np.uint8], sample: Any) -> Any:
    """The picture in a buffer of GStreamer, with the padding it expects and the times of the sample."""
    info = GstVideo.VideoInfo.new_from_caps(sample.get_caps())
    rows = np.zeros((info.height, info.stride[0]), np.uint8)
    rows[:, : info.width * 3] = image.reshape(info.height, -1)
    buffer = Gst.Buffer.new_wrapped(rows.tobytes())
    buffer.pts, buffer.duration = sample.get_buffer().pts, sample.get_buffer().duration
    return buffer


def wait_for_end(pipeline: Any) -> None:
    """Wait until the last frame has arrived at the end of the pipeline."""
    ends = Gst.MessageType.EOS | Gst.MessageType.ERROR
    raise_error(pipeline.get_bus().timed_pop_filtered(Gst.CLOCK_TIME_NONE, ends))


def raise_error(message: Any) -> None:
    """Raise what a message reports, if it reports an error."""
    if message is not None and message.type == Gst.MessageType.ERROR:
        raise StreamError(f"{message.src.get_name()}: {message.parse_error()[0].message}")


def main() -> None:
    """Run the program; one line on stderr and exit code 1 if something fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="exported model, such as fcn8s.onnx")
    parser.add_argument("source", help='what delivers video, such as "v4l2src" or "filesrc location=a.mp4 ! decodebin"')
    parser.add_argument("sink", help='what takes the painted frames, such as "autovideosink"')
    options = parser.parse_args()
    Gst.init(None)
    try:
        count = segment_stream(options.model, options.source, options.sink)
    except (FcnrtError, StreamError) as exc:
        sys.exit(f"error: {exc}")
    print(f"{count} frames")


if __name__ == "__main__":
    main()
