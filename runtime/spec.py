"""What must be known about an exported network to use it: `ModelSpec`, and `ImageSize`, the one way to say a size."""

from __future__ import annotations

import dataclasses
import json
import re
from dataclasses import dataclass
from typing import Any, Literal, get_args

from .errors import ModelFileError
from .opacity import check_opacity

ChannelOrder = Literal["rgb", "bgr"]
Precision = Literal["fp32", "fp16", "int8"]
OutputName = Literal["class_map", "confidence", "logits", "overlay"]

METADATA_KEY = "fcnrt.spec"
"""Key of the ONNX metadata entry that holds `ModelSpec` as JSON."""

INFER_SIZE = re.compile(r"[1-9]\d*(x[1-9]\d*)?")
"""The size that a network works at, as text: ``512x640``, or a number for the short side."""

_SPEC_FORMAT = 1  # raised when a reader of the older form would misunderstand the newer one


@dataclass(frozen=True, order=True)
class ImageSize:
    """Height and width of an image in pixels, always in that order; text form ``HxW``."""

    height: int
    width: int

    def __post_init__(self) -> None:
        if self.height < 1 or self.width < 1:
            raise ValueError(f"an image size must be at least 1x1, got {self.height}x{self.width}")

    @classmethod
    def parse(cls, text: str) -> ImageSize:
        """The size written as ``HxW``, for example ``512x640``.

        Raises:
            ValueError: If the text is not two positive integers joined by ``x``.
        """
        match = re.fullmatch(r"(\d+)x(\d+)", text.strip())
        if match is None:
            raise ValueError(f"{text!r} is not a size; write HEIGHTxWIDTH, for example 512x640")
        return cls(int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return f"{self.height}x{self.width}"


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """What the runtime must know about an exported network; travels inside the file as JSON metadata.

    Attributes:
        variant: Architecture, as ``fcnrt export --variant`` names it: ``fcn8s``, ``fcn_resnet50`` and so on.
        class_names: One name per class; index = value in the class map.
        palette: One RGB colour (0..255) per class.
        channel_order: Order of the three input channels that the graph expects.
        outputs: Names of the graph's outputs, in order.
        precision: Type the convolutions run in.
        align: Padding scheme of the network: ``same`` or ``caffe``, of networks that have but one ``native``.
        preprocessing: Name of the pre-processing inside the graph, for the reader; nothing is left to do outside.
        activation_scale_log2: Activations inside the graph are scaled by 2 to this power (0 or negative), so that
            they fit half precision; class maps, confidences and logits are not affected.
        opset: ONNX operator set of the graph.
        source: Where the weights came from, in words.
        checkpoint_sha256: SHA-256 of the checkpoint file, hexadecimal.
        fcnrt_version: Version of fcnrt that wrote the file.
        infer_size: Size that the graph resizes frames to, ``HxW``, or the length of their short side; None if it works
            at the frame's own size. Class maps have the frame's size always.
        sigmoid: Whether the network has one logit for its two classes: class 1 where it is above zero. Zero and NaN are
            class 0.
        overlay_opacity: Weight (0..1) of the class colours in the output ``overlay``; None without that output.
    """

    variant: str
    class_names: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    channel_order: ChannelOrder
    outputs: tuple[OutputName, ...]
    precision: Precision
    align: str
    preprocessing: str
    activation_scale_log2: int
    opset: int
    source: str
    checkpoint_sha256: str
    fcnrt_version: str
    infer_size: str | None = None
    sigmoid: bool = False
    overlay_opacity: float | None = None

    def __post_init__(self) -> None:
        if not 1 <= len(self.class_names) <= 256:
            raise ValueError(f"a class map is uint8 and holds 1 to 256 classes, got {len(self.class_names)}")
        if self.sigmoid and len(self.class_names) != 2:
            raise ValueError(f"a single logit tells 2 classes apart, not {len(self.class_names)}")
        if len(self.palette) != len(self.class_names):
            raise ValueError(f"the palette has {len(self.palette)} colours for {len(self.class_names)} classes")
        check_palette(self.palette)
        if self.channel_order not in get_args(ChannelOrder):
            raise ValueError(f"channel order must be rgb or bgr, got {self.channel_order!r}")
        if "class_map" not in self.outputs:
            raise ValueError(f"outputs must include class_map, got {', '.join(self.outputs)}")
        if self.precision not in get_args(Precision):
            raise ValueError(f"precision must be {', '.join(get_args(Precision))}, got {self.precision!r}")
        if not all(isinstance(name, str) for name in self.class_names):
            raise ValueError(f"class names must be text, got {self.class_names}")
        inside = self.infer_size
        if inside is not None and not (isinstance(inside, str) and INFER_SIZE.fullmatch(inside)):
            raise ValueError(f"the size inside must be HxW or one number, as text, got {inside!r}")
        if self.overlay_opacity is not None:
            check_opacity(self.overlay_opacity)

    @property
    def num_classes(self) -> int:
        """Number of classes, the background included."""
        return len(self.class_names)

    @property
    def logit_channels(self) -> int:
        """Channels of the output `logits`: one per class, or one for both."""
        return 1 if self.sigmoid else self.num_classes

    def to_json(self) -> str:
        """The spec as one JSON object."""
        return json.dumps({"format": _SPEC_FORMAT, **dataclasses.asdict(self)}, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> ModelSpec:
        """The spec written by `to_json`.

        Fields that this version does not know are ignored, so that newer files stay readable.

        Raises:
            ModelFileError: If the text is not a spec, or one of a newer format.
        """
        try:
            data: dict[str, Any] = json.loads(text)
            written_in = int(data["format"])
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as exc:
            raise _damaged(exc) from exc
        if written_in > _SPEC_FORMAT:
            raise ModelFileError(
                f"the model was written in metadata format {written_in}; this fcnrt reads up to {_SPEC_FORMAT}. "
                "Upgrade fcnrt, or export the model again with this version."
            )
        known = {field.name for field in dataclasses.fields(cls)}
        values = {key: value for key, value in data.items() if key in known}
        try:
            values["class_names"] = tuple(values["class_names"])
            values["palette"] = tuple((int(r), int(g), int(b)) for r, g, b in values["palette"])
            values["outputs"] = tuple(values["outputs"])
            return cls(**values)
        except (ValueError, TypeError, KeyError, OverflowError) as exc:
            raise _damaged(exc) from exc


def check_palette(palette: tuple[tuple[int, int, int], ...]) -> None:
    """Check that colours can be painted.

    Raises:
        ValueError: If one has not three values, or a value is not 0..255.
    """
    for color in palette:
        if len(color) != 3 or not all(0 <= value <= 255 for value in color):
            raise ValueError(f"the values of a colour must be 0 to 255, got {', '.join(map(str, color))}")


def _damaged(exc: Exception) -> ModelFileError:
    return ModelFileError(f"the model's fcnrt metadata is damaged ({exc}); export the model again")
