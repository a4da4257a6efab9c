"""Opening videos, cameras and streams, and saying why one could not be opened."""

from __future__ import annotations

import time
from pathlib import Path

import av
import av.container
import av.error

from ..errors import SourceError
from ..images.files import MOTION_JPEG_SUFFIXES
from ..sources import SESSION_SUFFIX, VideoSource
from ..truncation import is_truncated
from .interruptible import interruptible


def is_file_truncated(path: Path) -> bool:
    """Whether the file was cut off.

    Raises:
        SourceError: If it cannot be read.
    """
    try:
        with path.open("rb") as file:
            # Of Motion JPEG the first picture would be found complete, and the whole film read for that.
            return path.suffix.lower() not in MOTION_JPEG_SUFFIXES and is_truncated(file)
    except OSError as exc:
        raise SourceError(f"{path}: cannot be read ({exc.strerror})") from exc


def open_video(source: VideoSource, *, timeout_s: float, truncated: bool) -> av.container.InputContainer:
    """The opened video.

    Args:
        source: The video, camera or stream.
        timeout_s: Seconds to wait for a stream to answer, and later for its next piece.
        truncated: Whether it is a file that was cut off.

    Raises:
        SourceError: If it cannot be opened; the message says why.
    """
    options: dict[str, str] = {}
    if source.address.startswith("rtsp"):
        options["rtsp_transport"] = "tcp"  # packets over UDP get lost, and firewalls drop them
    if source.address.lower().endswith(SESSION_SUFFIX):
        options["protocol_whitelist"] = "file,rtp,udp"  # a file may not open connections otherwise
    if source.is_live:
        # FFmpeg would collect twenty frames to find out their rate, which then come all at once, too many to keep up.
        # Two tell it as well.
        options["fpsprobesize"] = "2"
    start = time.monotonic()
    try:
        if source.path is not None:
            return av.open(source.address, format=source.device_format)
        return interruptible(
            lambda: av.open(source.address, format=source.device_format, options=options, timeout=timeout_s)
        )
    except (av.FFmpegError, ValueError) as exc:
        if source.path is None:
            # FFmpeg's RTSP reader gives other errors than the others when its time is over.
            timed_out = time.monotonic() - start >= timeout_s
            reason = _timeout(timeout_s) if timed_out else why(exc, timeout_s)
            if isinstance(exc, av.error.ProtocolNotFoundError):
                reason = f"the FFmpeg inside of PyAV has no {source.address.partition(':')[0]}"
            raise SourceError(f"{source.label}: cannot be opened ({reason})") from exc
        size = source.path.stat().st_size
        if size == 0:
            raise SourceError(f"{source.label}: empty (0 bytes); delete it or fetch it again") from exc
        if truncated:
            raise SourceError(
                f"{source.label}: truncated after {size:,} bytes, before anything that can be shown; "
                f"delete it or fetch it again"
            ) from exc
        if isinstance(exc, av.error.EOFError):
            raise SourceError(f"{source.label}: ends before its first frame; delete it or fetch it again") from exc
        raise SourceError(f"{source.label}: neither an image nor a video that can be read") from exc


def why(exc: Exception, timeout_s: float) -> str:
    """What FFmpeg says was wrong, as it goes into a message."""
    if isinstance(exc, av.error.ExitError):  # FFmpeg was interrupted, which only the timeout does
        return _timeout(timeout_s)
    return getattr(exc, "strerror", None) or str(exc)


def _timeout(timeout_s: float) -> str:
    return f"nothing came for {timeout_s:g} seconds"
