"""`RunningClock`: the times of a stream whose clock starts again, made into times that run on."""

from __future__ import annotations

from fractions import Fraction

import av
from av.stream import Stream

# A step ahead is a pause or a loss, and its length is kept; only a clock that starts again jumps by hours. The limit
# for a step back is that of FFmpeg's own program.
_BACK_S = Fraction(1, 10)
_AHEAD_S = Fraction(3600)
_BETWEEN_STREAMS_S = Fraction(10)  # sound and picture of a stretch may begin that far from each other
_SAME_S = Fraction(1, 20)


class RunningClock:
    """Moves the times of packets, so that what comes after a restart follows what came before it.

    Encoders that are started again, files that were put together, and stations that change their programme begin at
    another time in the middle. Each stretch with a clock of its own has an offset, which all streams share: the first
    stream that arrives there determines it, and the distance between sound and picture stays. Packets of the stretch
    before may still come then, of another stream, or after a single time that was damaged.
    """

    def __init__(self) -> None:
        self._offsets = [Fraction(0)]
        self._stretches: dict[int, int] = {}
        """By stream, which of the offsets it has."""
        self._expected: dict[int, Fraction] = {}
        """By stream, when its next packet should come, in seconds."""

    @property
    def has_restarted(self) -> bool:
        """Whether the clock has started again so far."""
        return len(self._offsets) > 1

    def move(self, packet: av.Packet[Stream]) -> bool:
        """Move the times of a packet, in the order of the file; returns whether its stream arrives at a new stretch."""
        if packet.time_base is None:
            return False
        stream = packet.stream.index
        before = stretch = self._stretches.get(stream, len(self._offsets) - 1)
        if packet.dts is not None:
            stretch = self._stretch_of(stream, packet.dts * packet.time_base, before)
            self._stretches[stream] = stretch
            end = (packet.dts + (packet.duration or 0)) * packet.time_base
            self._expected[stream] = end + self._offsets[stretch]
        shift = round(self._offsets[stretch] / packet.time_base)
        if packet.dts is not None:
            packet.dts += shift
        if packet.pts is not None:
            packet.pts += shift
        return stretch != before

    def _stretch_of(self, stream: int, time_s: Fraction, current: int) -> int:
        expected = self._expected.get(stream)
        if expected is None:
            return current
        late = [time_s + offset - expected for offset in self._offsets]
        continues = -_BACK_S <= late[current] <= _AHEAD_S
        others = [stretch for stretch in range(len(late)) if stretch != current]
        if others:
            nearest = min(others, key=lambda stretch: abs(late[stretch]))
            if continues:  # after a single time that was damaged, things are as before
                return nearest if abs(late[nearest]) < _SAME_S < late[current] else current
            if abs(late[nearest]) <= _BETWEEN_STREAMS_S:
                # This stream may have gone on for longer than the one that came here first.
                self._offsets[nearest] += max(Fraction(0), -late[nearest])
                return nearest
        if continues:
            return current
        self._offsets.append(expected - time_s)
        return len(self._offsets) - 1
