"""`Start`: the network as it is before the first step, from scratch, from VGG16 or from the previous stage."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from ..fcn_models.checkpoint import Checkpoint, load_checkpoint
from ..fcn_models.checkpoint_file import read_checkpoint_file
from ..fcn_models.checkpoint_metadata import Palette
from ..fcn_models.fcn import FCN, FCNConfig, Variant
from ..fcn_models.fitting import empty, fill
from ..fcn_models.layouts import VGG16, recognise
from ..fcn_models.preprocessing import PreprocessingName
from ..runtime.errors import CheckpointError
from .frozen_upsampling import FrozenUpsampling


@dataclass(frozen=True, kw_only=True)
class Start:
    """A network to train, and what must be known about it.

    Attributes:
        network: The network; its upsampling is frozen, as in the authors' code.
        preprocessing: Name of the pre-processing that its weights want.
        class_names: One name per class.
        palette: One RGB colour (0..255) per class.
        origin: Where the weights came from, in words.
        is_trained: Whether they are anybody's, and not random.
        trained_scores: Score layers that are trained already: none, or as many as the previous stage had.
    """

    network: FCN
    preprocessing: PreprocessingName
    class_names: tuple[str, ...]
    palette: Palette
    origin: str
    is_trained: bool = False
    trained_scores: int = 0


def from_scratch(
    variant: Variant, class_names: tuple[str, ...], palette: Palette, *, width: float, fc_channels: int, seed: int
) -> Start:
    """A network with random weights, drawn as is right in front of ReLU (He et al., 2015), and zero scores.

    Args:
        variant: FCN-32s, 16s or 8s.
        class_names: One name per class.
        palette: One colour per class.
        width: Multiplier of the trunk's channels.
        fc_channels: Channels of fc6 and fc7.
        seed: Decides on the weights.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = FCN(FCNConfig(variant=variant, num_classes=len(class_names), width=width, fc_channels=fc_channels))
        for name, layer in network.named_children():
            if isinstance(layer, nn.Conv2d):
                assert layer.bias is not None
                nn.init.zeros_(layer.bias)
                if name in network.score_layers:
                    nn.init.zeros_(layer.weight)
                else:
                    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    return Start(
        network=_with_frozen_upsampling(network),
        preprocessing="imagenet_rgb",
        class_names=class_names,
        palette=palette,
        origin="random weights",
    )


def from_checkpoint(path: Path, variant: Variant, class_names: tuple[str, ...], palette: Palette) -> Start:
    """A network that begins with the weights of a file: VGG16's, or those of an FCN, perhaps of the previous stage.

    Score layers are kept if the file's network has the same classes and a score for each; all others start at zero, so
    that an FCN-16s begins as the FCN-32s it comes from, and an FCN-8s as the FCN-16s. Upsampling layers are bilinear.

    Args:
        path: Checkpoint of any supported layout. A VGG16 classifier gives fc6 and fc7, too.
        variant: FCN-32s, 16s or 8s.
        class_names: One name per class.
        palette: One colour per class.

    Raises:
        CheckpointError: If the file cannot be loaded, or is no FCN on VGG16.
    """
    file = read_checkpoint_file(path)
    is_classifier = file.metadata is None and recognise(file.tensors.keys(), path.name) is VGG16
    del file
    loaded = load_checkpoint(path, variant=variant if is_classifier else None)
    source = loaded.model.config
    if not isinstance(source, FCNConfig):
        raise CheckpointError(
            f"{path.name} is a {source.variant}; {variant} can start from VGG16 or an FCN on VGG16 only"
        )
    network = _adapted(loaded, variant, class_names)
    same_classes = not is_classifier and _has_scores_for(loaded, class_names)
    kept = [name for name in network.score_layers if same_classes and hasattr(loaded.model, name)]
    new = [name for name in network.score_layers if name not in kept]
    return Start(
        network=_with_frozen_upsampling(network),
        preprocessing=loaded.preprocessing,
        class_names=class_names,
        palette=palette,
        origin=loaded.source + (f"; {', '.join(new)} at zero" if new else ""),
        is_trained=True,
        trained_scores=len(kept),
    )


def _adapted(loaded: Checkpoint, variant: Variant, class_names: tuple[str, ...]) -> FCN:
    """A network of the variant with every weight of the loaded one that it has a use for; upsampling is bilinear."""
    same_classes = _has_scores_for(loaded, class_names)
    config = dataclasses.replace(loaded.model.config, variant=variant, num_classes=len(class_names), sigmoid=False)
    network = empty(config)
    assert isinstance(network, FCN)
    left_out = network.upsampling_layers if same_classes else (*network.score_layers, *network.upsampling_layers)
    available = loaded.model.state_dict()
    kept = {
        key: available[key]
        for key in network.state_dict()
        if key in available and key.partition(".")[0] not in left_out
    }
    fill(network, kept, {key: key for key in kept}, file_name=loaded.source)
    return network


def _has_scores_for(loaded: Checkpoint, class_names: tuple[str, ...]) -> bool:
    """Whether the network has a score for each of these classes; one for two classes is none that is trained here."""
    return loaded.class_names == class_names and not loaded.model.config.sigmoid


def _with_frozen_upsampling(network: FCN) -> FCN:
    for name in network.upsampling_layers:
        layer = network.get_submodule(name)
        assert isinstance(layer, nn.ConvTranspose2d)
        setattr(network, name, FrozenUpsampling(layer))
    return network
