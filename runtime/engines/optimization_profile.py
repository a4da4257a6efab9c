"""`OptimizationProfile`: the frame sizes a TensorRT engine takes, and the one it is tuned for."""

from __future__ import annotations

from dataclasses import dataclass

from ..spec import ImageSize

_LARGEST_SIDE = 2**31 - 1  # TensorRT's dimensions have 32 bits


@dataclass(frozen=True)
class OptimizationProfile:
    """A range of frame sizes and batches; text form of the sizes ``MIN,OPT,MAX``, each ``HxW``.

    Attributes:
        min: Smallest height and smallest width.
        opt: The size that kernels are tuned for; any other in the range runs, perhaps less quickly.
        max: Largest height and largest width; memory for it is reserved.
        max_batch: Most frames in one call, and the batch that kernels are tuned for; the least is 1.
    """

    min: ImageSize
    opt: ImageSize
    max: ImageSize
    max_batch: int = 1

    def __post_init__(self) -> None:
        if self.max_batch < 1:
            raise ValueError(f"max_batch must be at least 1, got {self.max_batch}")
        if max(self.max.height, self.max.width) > _LARGEST_SIDE:
            raise ValueError(f"TensorRT takes frames of up to {_LARGEST_SIDE} pixels on a side, got {self.max}")
        for axis in ("height", "width"):
            lengths = [getattr(size, axis) for size in (self.min, self.opt, self.max)]
            if lengths != sorted(lengths):
                raise ValueError(f"the {axis}s of a profile must rise from MIN over OPT to MAX, got {self}")

    @classmethod
    def parse(cls, text: str, *, max_batch: int = 1) -> OptimizationProfile:
        """The profile written as ``MIN,OPT,MAX``, for example ``256x256,512x512,1080x1920``.

        Raises:
            ValueError: If the text is not three sizes, or they do not rise.
        """
        parts = text.split(",")
        if len(parts) != 3:
            raise ValueError(f"{text!r} is not a profile; write MIN,OPT,MAX, for example 256x256,512x512,1080x1920")
        smallest, best, largest = map(ImageSize.parse, parts)
        return cls(smallest, best, largest, max_batch)

    def __str__(self) -> str:
        return f"{self.min},{self.opt},{self.max}"

    def admits(self, size: ImageSize) -> bool:
        """Whether frames of this size are within the range."""
        return self.min.height <= size.height <= self.max.height and self.min.width <= size.width <= self.max.width


DEFAULT_PROFILE = OptimizationProfile(ImageSize(32, 32), ImageSize(512, 512), ImageSize(1080, 1920))
"""From small pictures up to full HD: what is built for where nobody says otherwise."""
