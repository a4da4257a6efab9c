"""Protocol-buffers messages: a reader that touches only the fields it is asked for, and what a writer needs.

The format: https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass

VARINT, _FIXED64, _LENGTH_DELIMITED, _FIXED32 = 0, 1, 2, 5  # wire types; 3 and 4 are long out of use


class TruncatedError(ValueError):
    """The data end before the field they announce."""


class MalformedError(ValueError):
    """The bytes are not a protocol-buffers message of the expected shape."""


@dataclass(frozen=True)
class Message:
    """A protocol-buffers message, a string or other bytes: `data[start:stop]`."""

    data: mmap.mmap
    start: int
    stop: int

    def fields(self) -> Iterator[tuple[int, int | Message]]:
        """The number and value of each field, in file order; the bytes of a value are not touched.

        Raises:
            TruncatedError: If the last field reaches beyond the end of the data.
            MalformedError: If these bytes are not a message.
        """
        return ((number, value) for number, value, _ in self.fields_as_written())

    def fields_as_written(self) -> Iterator[tuple[int, int | Message, Message]]:
        """As `fields`, each with the bytes of the whole field: its number, its length and its value.

        Raises:
            TruncatedError: If the last field reaches beyond the end of the data.
            MalformedError: If these bytes are not a message.
        """
        position = self.start
        while position < self.stop:
            begin = position
            tag, position = self._varint(position)
            wire_type = tag & 7
            value: int | Message
            if wire_type == VARINT:
                value, position = self._varint(position)
            elif wire_type == _LENGTH_DELIMITED:
                length, position = self._varint(position)
                value = Message(self.data, position, position + length)
                position += length
            elif wire_type in (_FIXED32, _FIXED64):
                length = 4 if wire_type == _FIXED32 else 8
                value = Message(self.data, position, position + length)
                position += length
            else:
                raise MalformedError
            if position > self.stop:
                raise TruncatedError if self.stop == len(self.data) else MalformedError
            yield tag >> 3, value, Message(self.data, begin, position)

    def raw(self) -> bytes:
        """The bytes as they are."""
        return self.data[self.start : self.stop]

    def text(self) -> str:
        """The bytes as a string."""
        return self.raw().decode("utf-8")

    def varints(self) -> list[int]:
        """The bytes as a run of integers (a packed repeated field).

        Raises:
            MalformedError: If the last one is cut off.
        """
        values, position = [], self.start
        while position < self.stop:
            value, position = self._varint(position)
            values.append(value)
        return values

    def _varint(self, position: int) -> tuple[int, int]:
        """The integer written at `position` in groups of seven bits, lowest first, and the position after it."""
        value = 0
        for shift in range(0, 70, 7):
            if position >= self.stop:
                raise TruncatedError if self.stop == len(self.data) else MalformedError
            byte = self.data[position]
            position += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value, position
        raise MalformedError


def as_message(value: int | Message) -> Message:
    """The value of a field that must not be a number.

    Raises:
        MalformedError: If it is a number.
    """
    if isinstance(value, int):
        raise MalformedError
    return value


def length_delimited(number: int, length: int) -> bytes:
    """What comes before the `length` bytes of a message, a string or other bytes in field `number`."""
    return varint(number << 3 | _LENGTH_DELIMITED) + varint(length)


def varint(value: int) -> bytes:
    """An integer, not negative, in groups of seven bits, lowest first."""
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])
