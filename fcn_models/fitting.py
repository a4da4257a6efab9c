"""Fitting the tensors of a checkpoint into a network: names, shapes and values are checked, then moved."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import nn

from ..runtime.errors import CheckpointError
from .network import Network, NetworkConfig
from .registry import build
from .upsampling import fill_bilinear

_LISTED_TENSORS = 3  # how many an error message names

_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)  # smaller ones need scales from elsewhere

# Batches that a batch normalisation has seen: of use in training only, and old files do not have it.
COUNTER_SUFFIX = ".num_batches_tracked"


def fill(
    model: Network,
    tensors: dict[str, torch.Tensor],
    sources: Mapping[str, str],
    *,
    flattened: frozenset[str] = frozenset(),
    file_name: str,
) -> None:
    """Move the tensors of a file into an empty network, as float32.

    Args:
        model: Network on the meta device.
        tensors: Tensors of the file by their name there; emptied, so that each is freed once it is copied.
        sources: Name in the file of each tensor of the network. Those that are not listed are initialised as the paper
            says: bilinear upsampling, zero scores.
        flattened: Tensors of the network that the file stores as weights of a fully connected layer.
        file_name: For messages.

    Raises:
        CheckpointError: If tensors are missing, surplus, of the wrong shape, not numbers, NaN or infinite.
    """
    wanted: dict[str, tuple[str, torch.Tensor]] = {}
    state: dict[str, torch.Tensor] = {}
    for key, parameter in model.state_dict().items():
        if key in sources:
            wanted[sources[key]] = key, parameter
        elif key.endswith(COUNTER_SUFFIX):
            state[key] = torch.zeros(parameter.shape, dtype=parameter.dtype)
        else:
            state[key] = _initial(model, key, parameter)
    shapes = {
        source: (len(parameter), parameter[0].numel()) if key in flattened else tuple(parameter.shape)
        for source, (key, parameter) in wanted.items()
    }
    _check_shapes(model.config.variant, tensors, shapes, file_name)
    for source, (key, parameter) in wanted.items():
        tensor = tensors.pop(source)
        check_finite(source, tensor, file_name)
        # Copied, because the file may be memory-mapped and overwritten while the network lives.
        state[key] = tensor.detach().to(torch.float32, copy=True).reshape(parameter.shape).contiguous()
    model.load_state_dict(state, assign=True)


def weight_names(model: nn.Module) -> list[str]:
    """Names of the tensors that a checkpoint of a network holds."""
    return [key for key in model.state_dict() if not key.endswith(COUNTER_SUFFIX)]


def empty(config: NetworkConfig) -> Network:
    """A network without memory for its weights, which a file's are to replace: nothing is initialised in vain."""
    with torch.device("meta"):
        return build(config)


def _initial(model: Network, key: str, parameter: torch.Tensor) -> torch.Tensor:
    initial = torch.zeros(parameter.shape)
    if key.rpartition(".")[0] in model.upsampling_layers:
        fill_bilinear(initial)
    return initial


def _check_shapes(
    variant: str, tensors: Mapping[str, torch.Tensor], expected: Mapping[str, tuple[int, ...]], file_name: str
) -> None:
    missing = [name for name in expected if name not in tensors]
    surplus = [name for name in tensors if name not in expected]
    wrong = [
        f"{name} {tuple(tensors[name].shape)} instead of {shape}"
        for name, shape in expected.items()
        if name in tensors and tuple(tensors[name].shape) != shape
    ]
    found = {"missing": missing, "not part of it": surplus, "wrong shape": wrong}
    problems = [f"{problem}: {listing(names)}" for problem, names in found.items() if names]
    if problems:
        raise CheckpointError(f"{file_name} does not fit {variant}; {'; '.join(problems)}")


def listing(names: Sequence[str]) -> str:
    """The first names, and how many there are besides."""
    listed = ", ".join(names[:_LISTED_TENSORS])
    more = len(names) - _LISTED_TENSORS
    return f"{listed} and {more} more" if more > 0 else listed


def check_finite(name: str, tensor: torch.Tensor, owner: str) -> None:
    """Check that a tensor holds weights: dense, floating-point, finite in float32.

    Raises:
        CheckpointError: If it does not; naming the tensor and its owner.
    """
    if tensor.layout != torch.strided or tensor.is_meta or tensor.dtype not in _DTYPES:
        raise CheckpointError(
            f"{owner} has a tensor that is not dense floating-point numbers of 16, 32 or 64 bits: {name} "
            f"({tensor.dtype})"
        )
    if tensor.numel() == 0:
        raise CheckpointError(f"{owner} has no numbers in {name}")
    # The extremes are NaN if any element is; unlike isfinite(), this needs no memory.
    if not all(math.isfinite(extreme.float()) for extreme in tensor.aminmax()):
        as_float32 = ", as float32" if tensor.dtype == torch.float64 else ""
        raise CheckpointError(f"{owner} has NaN or infinite weights in {name}{as_float32}")
