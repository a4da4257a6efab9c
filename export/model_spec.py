"""What a file says about the network that was exported into it."""

from __future__ import annotations

from importlib.metadata import version

from ..fcn_models.checkpoint import Checkpoint
from ..fcn_models.infer_size import infer_size_of
from ..runtime.spec import ModelSpec


def spec_of(checkpoint: Checkpoint) -> ModelSpec:
    """The metadata of a checkpoint's float32 export that returns class maps of RGB frames.

    What an export in another form has besides is the caller's to replace; the operator set 0 stands for none.
    """
    config = checkpoint.model.config
    return ModelSpec(
        variant=config.variant,
        class_names=checkpoint.class_names,
        palette=checkpoint.palette,
        channel_order="rgb",
        outputs=("class_map",),
        precision="fp32",
        align=config.align,
        preprocessing=checkpoint.preprocessing,
        activation_scale_log2=0,
        opset=0,
        source=checkpoint.source,
        checkpoint_sha256=checkpoint.sha256,
        fcnrt_version=version("fcnrt"),
        infer_size=infer_size_of(checkpoint.model),
        sigmoid=config.sigmoid,
    )
