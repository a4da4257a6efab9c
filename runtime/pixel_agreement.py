"""`PixelAgreement`: how far class maps are those of PyTorch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class PixelAgreement:
    """How far class maps agree with those of PyTorch, in pixels.

    Attributes:
        pixels: Pixels compared.
        differing: Pixels with another class.
        faults: Those of them that are no ties: PyTorch says clearly another class. None if that is not known.
    """

    pixels: int
    differing: int
    faults: int | None

    @property
    def equal_share(self) -> float:
        """Share of pixels with the same class; 0 if nothing was compared."""
        return 1 - self.differing / self.pixels if self.pixels else 0.0

    @property
    def ties(self) -> int:
        """Pixels with another class that rounding explains; all of them if faults are not known."""
        return self.differing - (self.faults or 0)
