"""How published checkpoints of FCNs on VGG16 name their tensors, and how to tell all checkpoints apart by those names.

A layout maps the paper's layer names to the layers of a file. It also fixes what the tensors cannot tell, because it
comes from how that project trains: the alignment and the pre-processing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from ..runtime.errors import CheckpointError
from .fcn import Align, Variant
from .native_layouts import NATIVE_LAYOUTS, NativeLayout
from .preprocessing import PreprocessingName

_TRUNK = (
    *("conv1_1", "conv1_2"),
    *("conv2_1", "conv2_2"),
    *("conv3_1", "conv3_2", "conv3_3"),
    *("conv4_1", "conv4_2", "conv4_3"),
    *("conv5_1", "conv5_2", "conv5_3"),
)
_HEADS: dict[Variant, tuple[str, ...]] = {
    "fcn32s": ("score_fr", "upscore"),
    "fcn16s": ("score_fr", "score_pool4", "upscore2", "upscore16"),
    "fcn8s": ("score_fr", "score_pool4", "score_pool3", "upscore2", "upscore_pool4", "upscore8"),
    "fcn8s_atonce": ("score_fr", "score_pool4", "score_pool3", "upscore2", "upscore_pool4", "upscore8"),
}
# The last layer names the variant, but for an at-once net: by its tensors it is an FCN-8s.
_FINAL_UPSAMPLING: dict[Variant, str] = {variant: layers[-1] for variant, layers in _HEADS.items()}


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The tensor names of one project's checkpoints.

    Attributes:
        name: What messages call it.
        align: Alignment its networks were trained with.
        preprocessing: Pre-processing its networks were trained with.
        trunk: Layer in the file of each layer up to fc7, by paper name.
        heads: The same for the layers after fc7, which may depend on the variant. Empty: the file has none.
        flattened: Paper names of convolutions that the file stores as fully connected layers, (out, in * k * k).
        ignored: Tensors in the file that an FCN has no use for.
    """

    name: str
    align: Align
    preprocessing: PreprocessingName
    trunk: Mapping[str, str]
    heads: Mapping[Variant, Mapping[str, str]]
    flattened: frozenset[str] = field(default_factory=frozenset)
    ignored: frozenset[str] = field(default_factory=frozenset)

    @property
    def is_trained_fcn(self) -> bool:
        """Whether the file holds a whole FCN, and not only layers to start training from."""
        return bool(self.heads)

    def layers(self, variant: Variant) -> dict[str, str]:
        """Layer in the file of each layer of a variant, by paper name."""
        return {**self.trunk, **self.heads.get(variant, {})}

    def find_variant(self, keys: Collection[str]) -> Variant | None:
        """The variant that a file with these tensors holds; None if no final upsampling layer tells."""
        for variant, head in self.heads.items():
            if f"{head[_FINAL_UPSAMPLING[variant]]}.weight" in keys:
                return variant
        return None


def _under_own_names(*names: str) -> dict[str, str]:
    return {name: name for name in names}


PAPER = Layout(
    # Same keys as Caffe's blobs. Weights trained by the Caffe project or by its port need the padding of 100.
    name="wkentaro/pytorch-fcn layout",
    align="caffe",
    preprocessing="caffe_bgr",
    trunk=_under_own_names(*_TRUNK, "fc6", "fc7"),
    heads={variant: _under_own_names(*layers) for variant, layers in _HEADS.items()},
)

# torchvision's VGG16 numbers convolutions, activations and poolings in one sequence.
_VGG16_INDEX = dict(zip(_TRUNK, (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28), strict=True))
# Pytorch_FCN cuts that sequence behind each pooling and counts anew in each part.
_VGG16_BLOCK_START = (0, 5, 10, 17, 24)


def _block_layer(name: str) -> str:
    block = int(name[len("conv")])
    return f"features{block}.{_VGG16_INDEX[name] - _VGG16_BLOCK_START[block - 1]}"


PYTORCH_FCN = Layout(
    name="Pytorch_FCN layout",
    align="same",
    preprocessing="imagenet_rgb",
    trunk={name: _block_layer(name) for name in _TRUNK} | _under_own_names("fc6", "fc7"),
    heads={
        "fcn32s": {"score_fr": "score", "upscore": "upsample"},
        "fcn16s": {
            **_under_own_names("score_fr", "score_pool4"),
            "upscore2": "upsample2",
            "upscore16": "upsample16",
        },
        "fcn8s": {
            **_under_own_names("score_fr", "score_pool4", "score_pool3"),
            "upscore2": "upsample2_1",
            "upscore_pool4": "upsample2_2",
            "upscore8": "upsample8",
        },
    },
)

VGG16 = Layout(
    name="torchvision VGG16 layout",
    align="same",
    preprocessing="imagenet_rgb",
    trunk={
        **{name: f"features.{index}" for name, index in _VGG16_INDEX.items()},
        "fc6": "classifier.0",
        "fc7": "classifier.3",
    },
    heads={},
    flattened=frozenset({"fc6", "fc7"}),
    ignored=frozenset({"classifier.6.weight", "classifier.6.bias"}),
)

# Tensors that only files of this kind have together -> what the kind is called. Order matters: first match.
_SUPPORTED: tuple[tuple[tuple[str, ...], Layout], ...] = (
    (("conv1_1.weight",), PAPER),
    (("features1.0.weight",), PYTORCH_FCN),
)
_UNSUPPORTED: tuple[tuple[tuple[str, ...], str], ...] = (
    (("features3.0.weight", "features4.0.weight"), "zijundeng/pytorch-semantic-segmentation FCN"),
    (("conv_block1.0.weight", "classifier.6.weight"), "meetps/pytorch-semseg FCN"),
    (("pretrained_net.features.0.weight", "deconv1.weight"), "pochih/FCN-pytorch"),
    (("features.0.weight", "features.1.running_mean"), "torchvision VGG with batch normalisation"),
    (("conv1.weight", "layer1.0.conv1.weight", "fc.weight"), "torchvision ResNet classifier"),
)
_VGG = ("features.0.weight", "classifier.6.weight")
_KNOWN = ", ".join(dict.fromkeys(layout.name for layout in (PYTORCH_FCN, VGG16, *NATIVE_LAYOUTS)))
_LISTED_KEYS = 5


def is_known(keys: Collection[str]) -> bool:
    """Whether these are names of a known project's tensors, supported or not."""
    known = (*_SUPPORTED, *_UNSUPPORTED, *((native.markers, native) for native in NATIVE_LAYOUTS), (_VGG, VGG16))
    return any(all(marker in keys for marker in markers) for markers, _ in known)


def recognise(keys: Collection[str], file_name: str) -> Layout | NativeLayout:
    """The layout of a checkpoint with these tensor names.

    Args:
        keys: Names of the tensors in the file.
        file_name: For messages.

    Raises:
        CheckpointError: If the layout is unknown, or known and not supported.
    """
    for markers, layout in _SUPPORTED:
        if all(marker in keys for marker in markers):
            return layout
    for native in NATIVE_LAYOUTS:
        if all(marker in keys for marker in native.markers):
            return native
    for markers, lineage in _UNSUPPORTED:
        if all(marker in keys for marker in markers):
            raise _unsupported(file_name, lineage)
    if all(marker in keys for marker in _VGG):
        return _vgg(keys, file_name)
    first = ", ".join(sorted(keys)[:_LISTED_KEYS])
    raise CheckpointError(
        f"{file_name} has an unknown layout: its {len(keys)} tensors start with {first}. "
        f"Known are {PAPER.name} (also fcnrt's own names), {_KNOWN}."
    )


def _vgg(keys: Collection[str], file_name: str) -> Layout:
    convolutions = {key for key in keys if key.startswith("features.") and key.endswith(".weight")}
    # A file with fewer of VGG16's own convolutions is a damaged VGG16, and the missing ones will be named.
    if not convolutions <= {f"features.{index}.weight" for index in _VGG16_INDEX.values()}:
        raise _unsupported(file_name, f"torchvision VGG with {len(convolutions)} convolutions, not the 13 of VGG16")
    return VGG16


def _unsupported(file_name: str, lineage: str) -> CheckpointError:
    return CheckpointError(
        f"{file_name} looks like a checkpoint of: {lineage}. That is not supported; supported are {PAPER.name}, "
        f"{_KNOWN}."
    )
