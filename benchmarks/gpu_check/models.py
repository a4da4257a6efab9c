"""``python -m fcnrt.benchmarks.gpu_check.models FOLDER``: the networks of the GPU check, and their exported files.

The machine with the GPU may lack the packages for exporting; it takes the files from the folder.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...export.activations import half_precision_scale, largest_activation
from ...export.deployable import Deployable
from ...export.requirements import require_export_packages
from ...fcn_models.fcn import FCNConfig
from ...fcn_models.preprocessing import PREPROCESSING, PreprocessingName
from ...runtime.atomic import make_folder
from ...runtime.errors import FcnrtError
from ...runtime.spec import Precision
from ..random_network import random_checkpoint, random_network

if TYPE_CHECKING:
    from ...fcn_models.checkpoint import Checkpoint
    from ...fcn_models.network import Network

_FULL_WIDTH = FCNConfig(variant="fcn8s")
_SLIM = FCNConfig(variant="fcn8s", width=1 / 4, fc_channels=128)
_PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16")


@dataclass(frozen=True, eq=False)
class CheckedNetwork:
    """A network that is measured.

    Attributes:
        name: Short name; its exported files are ``NAME-fp32.onnx`` and ``NAME-fp16.onnx``.
        title: What it is, for a table.
        model: The PyTorch module.
        checkpoint: Makes what is exported, which takes the packages for that.
        preprocessing: What belongs before the network.
        trained: Whether its weights are those of a file: the same everywhere, and worth a score.
    """

    name: str
    title: str
    model: Network
    checkpoint: Callable[[], Checkpoint]
    preprocessing: PreprocessingName = "imagenet_rgb"
    trained: bool = False

    def deployable(self, precision: Precision) -> Deployable:
        """The module with everything around it, as it is exported."""
        preprocessing = PREPROCESSING[self.preprocessing]
        scale = 0
        if precision == "fp16":
            noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
            scale = half_precision_scale(largest_activation(self.model, preprocessing, [noise]))
        return Deployable(self.model, preprocessing, precision=precision, activation_scale_log2=scale)

    @cached_property
    def weightless(self) -> Deployable:
        """The same without weights, to count what it does."""
        return self.deployable("fp32").to("meta")


def demo_network() -> CheckedNetwork:
    """The demo FCN-8s; random weights in its place where they cannot be read, for lack of safetensors."""
    if find_spec("safetensors") is None:
        return _random("demo", "FCN-8s of the demo's width (random weights)", _SLIM)
    from ...export.demo import demo_checkpoint

    checkpoint = demo_checkpoint()
    return CheckedNetwork(
        "demo", "demo FCN-8s", checkpoint.model, lambda: checkpoint, checkpoint.preprocessing, trained=True
    )


def full_width_network() -> CheckedNetwork:
    """An FCN-8s of the paper's width with random weights: the time does not depend on them."""
    return _random("full-width", "FCN-8s of the paper's width (random weights)", _FULL_WIDTH)


def _random(name: str, title: str, config: FCNConfig) -> CheckedNetwork:
    return CheckedNetwork(name, title, random_network(config), lambda: random_checkpoint(config))


NETWORKS: dict[str, Callable[[], CheckedNetwork]] = {"demo": demo_network, "full-width": full_width_network}
"""The networks of the check by name."""


def exported_file(network: CheckedNetwork, precision: Precision, folder: Path) -> Path:
    """Export a network into `folder`.

    Raises:
        MissingDependencyError: If the packages for that are not installed.
    """
    path = folder / f"{network.name}-{precision}.onnx"
    require_export_packages(f"exporting {path.name}")
    from ...export.to_onnx import export_onnx

    return export_onnx(network.checkpoint(), path, precision=precision).path


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the program; exit code 1 and one line on stderr if something cannot be exported."""
    parser = argparse.ArgumentParser(prog="python -m fcnrt.benchmarks.gpu_check.models", description=__doc__)
    parser.add_argument("folder", type=Path, help="where to write")
    parser.add_argument("--only", choices=NETWORKS, help="one network (the one of full width takes 0.8 GB)")
    options = parser.parse_args(arguments)
    try:
        make_folder(options.folder)
        for name in (options.only,) if options.only else NETWORKS:
            network = NETWORKS[name]()
            for precision in _PRECISIONS:
                print(exported_file(network, precision, options.folder), flush=True)
    except FcnrtError as exc:
        sys.exit(f"error: {exc}")


if __name__ == "__main__":
    main()
