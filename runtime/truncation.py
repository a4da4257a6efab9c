"""Whether a picture or video file ends before its own structure says it should.

Decoders do not tell: OpenCV fills the missing part of a picture with gray, FFmpeg ends a video early. So the structure
is walked here, without decoding anything. Formats that do not state where they end count as complete.
"""

from __future__ import annotations

import os
import re
from typing import BinaryIO

_EBML_SIGNATURE = b"\x1a\x45\xdf\xa3"
_EBML_SEGMENT = b"\x18\x53\x80\x67"
_TS_SYNC = 0x47
_TS_PACKET_OFFSETS = {188: 0, 192: 4}
"""Size of an MPEG transport stream packet (Blu-ray's have a time code first) and offset of its sync byte."""

# In a JPEG's entropy-coded data FF00 is the byte FF, and FFD0..FFD7 are restart marks; anything else ends the data.
_JPEG_END_OF_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_JPEG_START_OF_SCAN = 0xDA
_JPEG_END_OF_IMAGE = 0xD9


def is_truncated(file: BinaryIO) -> bool:
    """Whether the file ends before its structure does; False for formats that do not say.

    Knows JPEG, PNG, WebP, AVIF, HEIF, MP4, MOV, Matroska, WebM, AVI and MPEG transport streams. Reads a picture once,
    and only the headers of a video.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(512)
    if head.startswith(b"\xff\xd8"):
        return not _jpeg_ends(head + file.read())
    if head.startswith(b"\x89PNG"):
        return not _png_ends(file, size)
    if head.startswith(b"RIFF"):
        return not _riff_ends(file, size)
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
        return not _iso_media_ends(file, size)
    if head.startswith(_EBML_SIGNATURE):
        return not _matroska_ends(head, size)
    for packet_size, offset in _TS_PACKET_OFFSETS.items():
        if len(head) > packet_size + offset and head[offset] == head[packet_size + offset] == _TS_SYNC:
            return size % packet_size != 0
    return False


def _jpeg_ends(data: bytes) -> bool:
    position = 2
    while position + 4 <= len(data):
        if data[position] != 0xFF:
            return True  # not a marker: damaged rather than truncated, which the decoder will find
        marker = data[position + 1]
        if marker == _JPEG_END_OF_IMAGE:
            return True
        if marker == 0xFF:  # markers may be preceded by any number of fill bytes
            position += 1
            continue
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        if marker == _JPEG_START_OF_SCAN:
            end = _JPEG_END_OF_SCAN.search(data, position)
            if end is None:
                return False
            position = end.start()
    return data[position : position + 2] == b"\xff\xd9"


def _png_ends(file: BinaryIO, size: int) -> bool:
    position = 8
    while position + 12 <= size:
        file.seek(position)
        length, kind = _length_and_kind(file)
        position += 12 + length
        if kind == b"IEND":
            break
    else:
        return False
    return position <= size


def _length_and_kind(file: BinaryIO) -> tuple[int, bytes]:
    """The header of a PNG chunk or an MP4 box."""
    return int.from_bytes(file.read(4), "big"), file.read(4)


def _riff_ends(file: BinaryIO, size: int) -> bool:
    # WebP is one RIFF chunk; a long AVI is a row of them. Live writers leave the length at 0.
    position = 0
    while position + 8 <= size:
        file.seek(position)
        kind, length = file.read(4), int.from_bytes(file.read(4), "little")
        if kind != b"RIFF" or length == 0:
            return True
        position += 8 + length
    return position <= size


def _iso_media_ends(file: BinaryIO, size: int) -> bool:
    position = 0
    has_index = False
    while position + 8 <= size:
        file.seek(position)
        length, kind = _length_and_kind(file)
        has_index |= kind in (b"moov", b"meta")
        if length == 1:
            length = int.from_bytes(file.read(8), "big")
        if length < 8:  # 0: this box reaches to the end, wherever that is; else padding after the last box
            break
        position += length
    return has_index and position <= size


def _matroska_ends(head: bytes, size: int) -> bool:
    start = head.find(_EBML_SEGMENT)
    position = start + len(_EBML_SEGMENT)
    if start < 0 or position >= len(head):
        return size > len(head)
    # An EBML length: the number of leading zero bits of its first byte says how many bytes follow.
    width = 9 - head[position].bit_length()
    mask = (1 << 7 * width) - 1
    length = int.from_bytes(head[position : position + width], "big") & mask
    if length == mask:  # unknown: written live
        return True
    return position + width + length <= size
