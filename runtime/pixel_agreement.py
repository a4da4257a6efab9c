"""`PixelAgreement`: how far class maps are those of PyTorch, and how such shares are written."""

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


def percent(share: float) -> str:
    """A share in percent, with enough digits to tell it from 100 %."""
    if not 0.999 < share < 1:
        return f"{100 * share:.3g} %"
    texts = (f"{100 * share:.{digits}f} %" for digits in range(3, 16))
    return next(text for text in texts if not text.startswith("100"))
