"""The module whose graph is the contract: raw frames in, class map out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from ..fcn_models.fcn import FCN
from ..fcn_models.network import Network, crop
from ..fcn_models.preprocessing import Preprocessing
from ..runtime.spec import ChannelOrder, OutputName, Precision
from .decision import decide
from .lowering import (
    BilinearUpsampling,
    fold_input_scale,
    lower_to_half,
    lower_upsampling,
    reverse_input_channels,
    scale_activations,
    sharing_weights,
    without_batch_norm,
)
from .padding import fold_padding
from .painting import OverlayPainting


class Deployable(nn.Module):
    """A network with everything around it inside: pre-processing before, crop, decision and casts behind.

    Two rules of TensorRT shape it: a uint8 input must meet a Cast first, and the Cast to uint8 must come last.
    """

    _mean: torch.Tensor

    def __init__(
        self,
        model: Network,
        preprocessing: Preprocessing,
        *,
        outputs: Sequence[OutputName] = ("class_map",),
        precision: Precision = "fp32",
        channel_order: ChannelOrder = "rgb",
        activation_scale_log2: int = 0,
        painting: OverlayPainting | None = None,
    ) -> None:
        """Rewrite a network for deployment; `painting` makes the output `overlay`."""
        super().__init__()
        self.outputs = tuple(outputs)
        self._painting = painting
        self._half = precision == "fp16"
        self._logit_scale = 2.0**-activation_scale_log2
        folded = without_batch_norm(model)
        self._network = (sharing_weights(model) if folded is model else folded).eval().requires_grad_(False)
        fold_input_scale(self._network, preprocessing.scale)
        mean = torch.tensor(preprocessing.mean).view(3, 1, 1)
        if preprocessing.channel_order != channel_order:
            reverse_input_channels(self._network)
            mean = mean.flip(0)
        self.register_buffer("_mean", mean)
        lower_upsampling(self._network)
        fold_padding(self._network)
        if activation_scale_log2:
            scale_activations(self._network, activation_scale_log2)
        if self._half:
            lower_to_half(self._network)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The outputs that were asked for, in their order.

        Args:
            image: Raw frames, uint8 (N, H, W, 3).

        Returns:
            ``class_map`` uint8 (N, H, W), ``confidence`` uint8 (N, H, W) (255 times the probability of that class),
            ``logits`` float32 (N, score_channels, H, W), ``overlay`` uint8 (N, H, W, 3).
        """
        height, width = image.shape[1:3]
        pixels = image.float()
        x = pixels.permute(0, 3, 1, 2)  # (N, 3, H, W)
        # Here and not at the pixels' place in memory: one number for a whole plane is quicker to subtract.
        x = x - self._mean
        logits = self._enlarged_logits(x.half() if self._half else x)

        # A class is decided by one pixel at a time, so that may come before the crop: one channel to crop, not all.
        classes = crop(decide(logits), self.margin, height, width)
        results: dict[OutputName, torch.Tensor] = {"class_map": classes.to(torch.uint8)}
        if "confidence" in self.outputs:
            cropped = crop(logits, self.margin, height, width) * self._logit_scale
            one_score = logits.shape[1] == 1  # z: the class chosen has the sigmoid of |z|
            probability = cropped.abs().sigmoid().squeeze(1) if one_score else cropped.softmax(1).amax(1)  # (N, H, W)
            results["confidence"] = (probability * 255).round().to(torch.uint8)
        if "logits" in self.outputs:
            results["logits"] = crop(logits, self.margin, height, width) * self._logit_scale
        if self._painting is not None:
            results["overlay"] = self._painting(pixels, classes.long())
        return tuple(results[name] for name in self.outputs)

    @property
    def margin(self) -> int:
        """Row and column of the enlarged logits where the image begins."""
        if not isinstance(self._network, FCN):
            return 0
        upsampling = self._network.final_upsampling
        offset = upsampling.offset if isinstance(upsampling, BilinearUpsampling) else 0
        return offset + self._network.final_crop

    def _enlarged_logits(self, x: torch.Tensor) -> torch.Tensor:
        """Logits at the image's resolution, float32, with a margin around them."""
        if not isinstance(self._network, FCN):
            return self._network(x).float()  # type: ignore[no-any-return]
        scores = self._network.scores(x)
        upsampling = self._network.final_upsampling
        if isinstance(upsampling, BilinearUpsampling):
            return upsampling.enlarge(scores)
        return upsampling(scores)  # type: ignore[no-any-return]
