"""Random changes of a picture and its label, always both together."""

from __future__ import annotations

from typing import Any

import torch
from torchvision import tv_tensors
from torchvision.transforms import v2

from ..datasets.labeled_image import LabeledImage
from ..fcn_models.voc import VOC_VOID
from ..runtime.spec import ImageSize

_PADDING_COLOR = (124, 116, 104)  # ImageNet's mean colour; void lies on it, so that nothing is learned from it


class RandomScale(v2.Transform):  # type: ignore[misc]  # torchvision has no types
    """Resizes both sides by one random factor: the aspect ratio stays.

    Pictures are interpolated linearly; a label takes the nearest pixel's, because between two classes is no third.
    """

    def __init__(self, lowest: float, highest: float) -> None:
        super().__init__()
        self._range = lowest, highest

    def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
        """The size after a random factor."""
        height, width = v2.functional.get_size(flat_inputs[0])
        factor = float(torch.empty(1).uniform_(*self._range))
        return {"size": [max(1, round(height * factor)), max(1, round(width * factor))]}

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        """The picture or the label at that size."""
        if not isinstance(inpt, tv_tensors.Mask):
            return v2.functional.resize(inpt, params["size"], antialias=True)
        # torchvision's own choice for masks takes the corner of each pixel, half a pixel away from the picture.
        label = inpt.as_subclass(torch.Tensor)[None]
        nearest = v2.functional.resize_image(label, params["size"], interpolation=v2.InterpolationMode.NEAREST_EXACT)
        return tv_tensors.Mask(nearest[0])


class Augmentation:
    """Scaling, cutting out and mirroring, as far as asked for.

    Args:
        crop: Size of the result; what lies outside of the picture is void. None: the whole picture.
        scales: Smallest and largest factor of the size.
        mirrored: Whether one half of the pictures is mirrored.
    """

    def __init__(
        self, *, crop: ImageSize | None, scales: tuple[float, float] = (1.0, 1.0), mirrored: bool = False
    ) -> None:
        steps: list[v2.Transform] = []
        if scales != (1.0, 1.0):
            steps.append(RandomScale(*scales))
        if crop is not None:
            fill = {tv_tensors.Image: _PADDING_COLOR, tv_tensors.Mask: VOC_VOID}
            steps.append(v2.RandomCrop((crop.height, crop.width), pad_if_needed=True, fill=fill))
        if mirrored:
            steps.append(v2.RandomHorizontalFlip())
        self._transform = v2.Compose(steps) if steps else None

    def __call__(self, picture: LabeledImage, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The picture, uint8 (3, H, W), and its label, uint8 (H, W).

        Args:
            picture: Picture and label.
            seed: Decides on everything random, whatever was drawn before.
        """
        image, label = as_tensors(picture)
        if self._transform is None:
            return image, label
        with torch.random.fork_rng(devices=[]):
            # Not torch.manual_seed, which would begin the dropout on the GPU anew as well.
            torch.default_generator.manual_seed(seed)
            changed = self._transform(tv_tensors.Image(image), tv_tensors.Mask(label))
        changed_image, changed_label = (part.as_subclass(torch.Tensor).contiguous() for part in changed)
        return changed_image, changed_label


def as_tensors(picture: LabeledImage) -> tuple[torch.Tensor, torch.Tensor]:
    """The picture as it is, uint8 (3, H, W), and its label, uint8 (H, W)."""
    # Copied, because readers may give out arrays that cannot be written, which PyTorch minds.
    image = torch.tensor(picture.image).permute(2, 0, 1)
    return image, torch.tensor(picture.label)
