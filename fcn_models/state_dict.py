"""Finding a network's tensors among what training scripts save with it, and freeing their names of what was around."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from ..runtime.errors import CheckpointError
from .fitting import listing
from .layouts import is_known

# Where training scripts keep the state dict among epoch, optimiser state and so on.
_ENTRIES = ("model_state_dict", "state_dict", "model")
_WRAPPERS = ("module.", "_orig_mod.")  # put before all names by DataParallel and torch.compile
_AVERAGED = "n_averaged"  # beside the weights in PyTorch's AveragedModel: of how many


@dataclass(frozen=True)
class StateDict:
    """The tensors of a network.

    Attributes:
        tensors: By the network's own names, as far as what is around it is known.
        choice: What was taken and what was not, where a file has more than one network.
    """

    tensors: dict[str, torch.Tensor]
    choice: str | None = None


def find_state_dict(content: Mapping[Any, Any], file_name: str) -> StateDict:
    """The network in what ``torch.save`` wrote: a state dict, or a training checkpoint with one in it.

    Args:
        content: What is in the file.
        file_name: For messages.

    Raises:
        CheckpointError: If there is no network, or it is open which one is meant.
    """
    # An FCN has convolutions, whose weights have four dimensions; the state of an optimiser or a generator has none.
    networks = [key for key, value in content.items() if isinstance(value, Mapping) and _has_convolutions(value)]
    usual = [key for key in _ENTRIES if isinstance(content.get(key), Mapping)]
    # Settings may be kept under a usual name, and the network elsewhere.
    entry = next((key for key in usual if key in networks), None if networks else next(iter(usual), None))
    if entry is None and len(networks) > 1:
        raise CheckpointError(
            f"{file_name} holds several state dicts: {', '.join(map(str, networks))}; save one of them by itself"
        )
    if entry is None and networks:
        (entry,) = networks
    state: Mapping[Any, Any] = content if entry is None else content[entry]
    tensors = {str(name): value for name, value in state.items() if isinstance(value, torch.Tensor)}
    if nested := [name for name, tensor in tensors.items() if tensor.is_nested]:
        raise CheckpointError(f"{file_name} has a nested tensor, which is no network's weight: {nested[0]}")
    if not tensors:
        entries = ", ".join(str(name) for name in list(state)[:5]) or "nothing"
        raise CheckpointError(
            f"{file_name} holds no weights: found {entries}; "
            f"expected tensors, or a state dict under {', '.join(_ENTRIES[:-1])} or {_ENTRIES[-1]}"
        )
    found = unwrap(tensors, file_name)
    others = ", ".join(str(key) for key in networks if key != entry)
    if not others:
        return found
    choice = f"read from its entry {entry}, not from {others}: to use that, save it by itself"
    return StateDict(found.tensors, choice if found.choice is None else f"{choice}; {found.choice}")


def unwrap(tensors: Mapping[str, torch.Tensor], file_name: str) -> StateDict:
    """The same tensors by the network's own names: what DataParallel, torch.compile and a trainer's module add is gone.

    Args:
        tensors: Tensors by their names in the file.
        file_name: For messages.

    Raises:
        CheckpointError: If there are several networks, or a tensor is there with and without such an addition.
    """
    own = _bare(tensors, file_name)
    if is_known(own):
        return StateDict(own)
    parts: dict[str, dict[str, torch.Tensor]] = defaultdict(dict)  # of a trainer's module, Lightning's for example
    for name, tensor in own.items():
        part, _, rest = name.partition(".")
        parts[part][rest] = tensor
    networks = {part: bare for part in parts if is_known(bare := _bare(parts[part], file_name))}
    if len(networks) > 1:
        raise CheckpointError(
            f"{file_name} holds several networks: {', '.join(networks)}; save the state dict of one by itself"
        )
    for part, network in networks.items():
        others = {name: tensor for name, tensor in own.items() if not name.startswith(f"{part}.")}
        if not _has_convolutions(others):  # else the part is one of a larger network, its VGG16 for example
            choice = f"read from its part {part}, not from {listing(list(others))}" if others else None
            return StateDict(network, choice)
    return StateDict(own)


def _has_convolutions(state: Mapping[Any, Any]) -> bool:
    return any(isinstance(value, torch.Tensor) and value.ndim == 4 for value in state.values())


def _bare(tensors: Mapping[str, torch.Tensor], file_name: str) -> dict[str, torch.Tensor]:
    own: dict[str, torch.Tensor] = {}
    for name, tensor in tensors.items():
        bare = name
        while bare.startswith(_WRAPPERS):
            bare = bare.partition(".")[2]
        if bare in own:
            raise CheckpointError(f"{file_name} has {bare} twice, once as {name}")
        if bare != _AVERAGED:
            own[bare] = tensor
    return own
