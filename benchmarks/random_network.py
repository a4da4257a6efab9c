"""Networks without training, for what depends on the architecture alone."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from ..fcn_models.fcn import FCN, FCNConfig
from ..fcn_models.voc import VOC_CLASSES, voc_palette

if TYPE_CHECKING:
    from ..fcn_models.checkpoint import Checkpoint


_CALIBRATION_SEED = 31


def random_network(config: FCNConfig, *, seed: int = 0) -> FCN:
    """A network with random weights that behaves like a trained one as far as arithmetic goes.

    He initialisation keeps activations at the same scale through all layers. The score layers look at differences
    between features only: features are positive, so otherwise one class would win everywhere.

    Args:
        config: Architecture.
        seed: Chooses the weights.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = FCN(config).eval()
        for name, layer in model.named_children():
            if not isinstance(layer, nn.Conv2d):
                continue  # upsampling layers are bilinear from the start
            assert layer.bias is not None
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)
            if name.startswith("score"):
                with torch.no_grad():
                    layer.weight -= layer.weight.mean(1, keepdim=True)
    return model


def random_checkpoint(config: FCNConfig, *, seed: int = 0) -> Checkpoint:
    """A `random_network` with what belongs to a checkpoint besides."""
    from ..fcn_models.checkpoint import Checkpoint  # reads files, with a package that a network alone does not need

    count = config.num_classes
    return Checkpoint(
        model=random_network(config, seed=seed),
        preprocessing="imagenet_rgb",
        class_names=VOC_CLASSES if count == len(VOC_CLASSES) else tuple(f"class {index}" for index in range(count)),
        palette=voc_palette()[:count],
        layout="random",
        source=f"random weights (He initialisation, seed {seed})",
        sha256="0" * 64,  # there is no file
    )


def quantize_all(path: Path, checkpoint: Checkpoint, int8_path: Path) -> Path:
    """Write an fp32 export in INT8, every layer that can be, for measuring speed.

    What random weights decide is nearly a tie everywhere, so that accuracy, which is what judges an export in INT8,
    means nothing with them.

    Args:
        path: The export of `checkpoint`.
        checkpoint: A `random_checkpoint`.
        int8_path: File to write.

    Returns:
        `int8_path`.
    """
    import onnx

    from ..datasets.synthetic import render_scene
    from ..export.quantize import calibrate, quantizable_layers, quantize
    from ..runtime.onnx_header import read_onnx_header
    from ..runtime.spec import METADATA_KEY, ImageSize

    graph = onnx.load(path)
    layers = quantizable_layers(graph, checkpoint.model.score_layers)
    frames = [render_scene(_CALIBRATION_SEED, index, ImageSize(128, 128)).image for index in range(2)]
    ranges = calibrate(graph, layers, frames, len(checkpoint.class_names)).ranges
    quantized = quantize(graph, ranges, layers)
    spec = dataclasses.replace(read_onnx_header(path).spec, precision="int8")
    onnx.helper.set_model_props(quantized, {METADATA_KEY: spec.to_json()})
    onnx.save(quantized, int8_path)
    return int8_path
