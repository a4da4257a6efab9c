"""What a camera adds to a drawn scene: uneven light, exposure, colour cast, blur and sensor noise."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Exposure:
    """How a picture was taken.

    Attributes:
        gain: Brightness of each colour channel, around 1.
        contrast: Spread around mid-grey, around 1.
        falloff: Strength of the light's change over the frame, 0..1.
        falloff_degrees: Direction in which the light falls off.
        blur: Radius of the blur as a share of the frame's shorter side (standard deviation).
        noise: Standard deviation of the sensor noise in grey levels.
    """

    gain: tuple[float, float, float]
    contrast: float
    falloff: float
    falloff_degrees: float
    blur: float
    noise: float

    @classmethod
    def random(cls, rng: np.random.Generator) -> Exposure:
        """An everyday exposure: mostly fine, sometimes dark, soft, tinted or noisy."""
        brightness = rng.uniform(0.72, 1.12)
        red, blue = rng.normal(0.0, 0.035, 2).clip(-0.08, 0.08)
        return cls(
            gain=(brightness * (1 + red), brightness, brightness * (1 + blue)),
            contrast=rng.uniform(0.8, 1.15),
            falloff=rng.uniform(0.0, 0.4),
            falloff_degrees=rng.uniform(0, 360),
            blur=rng.uniform(0.0, 1.1 / 256) if rng.random() < 0.5 else 0.0,
            noise=rng.uniform(1.0, 9.0),
        )

    def develop(self, image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
        """The picture, uint8 (H, W, 3), as this exposure shows it.

        The noise takes from `rng` once per pixel: it must be the last to draw, or pictures of one scene in two sizes
        would differ in more than their noise.
        """
        height, width = image.shape[:2]
        result = image.astype(np.float32)
        if self.blur:
            cv2.GaussianBlur(result, (0, 0), self.blur * min(height, width), dst=result)
        radians = math.radians(self.falloff_degrees)
        ramp_x = np.linspace(-0.5, 0.5, width, dtype=np.float32) * (self.falloff * math.cos(radians))
        ramp_y = np.linspace(-0.5, 0.5, height, dtype=np.float32) * (self.falloff * math.sin(radians))
        light = (ramp_x + 1) + ramp_y[:, None]
        result *= (light * self.contrast)[..., None]
        result *= np.asarray(self.gain, np.float32)
        result += 128 * (1 - self.contrast)
        noise = rng.standard_normal((height, width), dtype=np.float32)
        noise *= self.noise
        result += cv2.cvtColor(noise, cv2.COLOR_GRAY2RGB)
        return np.clip(result, 0, 255, out=result).astype(np.uint8)
