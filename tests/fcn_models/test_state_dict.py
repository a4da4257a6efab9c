"""What is around a network's weights in the checkpoints that people have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from fcnrt.fcn_models.checkpoint import load_checkpoint
from fcnrt.runtime.errors import CheckpointError

State = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def state(port_of_caffe) -> State:
    torch.manual_seed(0)
    return port_of_caffe("fcn16s").state_dict()  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def other(state: State) -> State:
    return {name: tensor + 1 for name, tensor in state.items()}


def prefixed(prefix: str, state: State) -> State:
    return {prefix + name: tensor for name, tensor in state.items()}


def loaded_from(content: object, path: Path, expected: State) -> str | None:
    """Loads what is saved and checks the weights; returns what was assumed."""
    torch.save(content, path)
    checkpoint = load_checkpoint(path)
    assert checkpoint.layout == "wkentaro/pytorch-fcn layout"
    for name, tensor in checkpoint.model.state_dict().items():
        assert torch.equal(tensor, expected[name]), name
    return checkpoint.assumption


@pytest.mark.parametrize(
    "prefix",
    ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module.", "module.module.", "net.", "model._orig_mod."],
)
@pytest.mark.parametrize("entry", [None, "model_state_dict", "state_dict", "network"])
def test_names_are_freed_of_what_was_around(state: State, tmp_path: Path, prefix: str, entry: str | None) -> None:
    content = prefixed(prefix, state)
    assert loaded_from(content if entry is None else {"epoch": 3, entry: content}, tmp_path / "net.pth", state) is None


def test_a_tensor_that_is_there_twice_is_named(state: State, tmp_path: Path) -> None:
    torch.save(state | {"module.fc6.bias": state["fc6.bias"]}, tmp_path / "net.pth")
    with pytest.raises(CheckpointError, match=r"net\.pth has fc6\.bias twice, once as module\.fc6\.bias"):
        load_checkpoint(tmp_path / "net.pth")


def test_safetensors_of_a_trainers_module(state: State, tmp_path: Path) -> None:
    save_file(prefixed("model.", state), tmp_path / "net.safetensors")
    assert torch.equal(load_checkpoint(tmp_path / "net.safetensors").model.fc6.weight, state["fc6.weight"])


def test_what_a_trainer_keeps_beside_the_weights_is_no_network(state: State, tmp_path: Path) -> None:
    weight = torch.nn.Parameter(torch.ones(4, 3, 3, 3))
    optimizer = torch.optim.Adam([weight])
    weight.sum().backward()
    optimizer.step()
    content = {
        "net": state,
        "optimizer": optimizer.state_dict(),
        "rng": {"cpu": torch.get_rng_state()},
        "scaler": {"scale": 65536.0, "_growth_tracker": 0},
        "best": np.float32(0.5),
        "epoch": np.int64(3),
        "done": np.bool_(True),
    }
    assert loaded_from(content, tmp_path / "net.pth", state) is None


@pytest.mark.parametrize("settings", [{"name": "fcn16s", "classes": 5}, {}, "fcn16s"])
def test_settings_under_a_usual_name_are_no_network(state: State, tmp_path: Path, settings: object) -> None:
    assert loaded_from({"model": settings, "net": state}, tmp_path / "net.pth", state) is None


def test_averaged_weights_are_taken_where_they_are_the_only_ones(state: State, tmp_path: Path) -> None:
    averaged = {"n_averaged": torch.tensor(3), **prefixed("module.", state)}  # as torch.optim.swa_utils saves it
    for content in (averaged, {"model_ema": averaged}):
        assert loaded_from(content, tmp_path / "net.pth", state) is None


def test_averaged_weights_are_mentioned_where_there_are_others(state: State, other: State, tmp_path: Path) -> None:
    assumption = loaded_from({"model": state, "model_ema": other}, tmp_path / "net.pth", state)
    assert assumption == "read from its entry model, not from model_ema: to use that, save it by itself"


def test_what_a_trainers_module_has_besides_the_network_is_mentioned(state: State, tmp_path: Path) -> None:
    content = {"state_dict": {**prefixed("model.", state), "criterion.weight": torch.ones(5)}, "global_step": 4}
    assert loaded_from(content, tmp_path / "net.ckpt", state) == "read from its part model, not from criterion.weight"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda a, b: {"student": a, "teacher": b}, "holds several state dicts: student, teacher; save one of them"),
        (
            lambda a, b: {"state_dict": {**prefixed("net.", a), **prefixed("ema.module.", b)}},
            "holds several networks: net, ema; save the state dict of one by itself",
        ),
        (
            lambda a, b: {"fcnrt": {"settings": {}, "history": []}, "state_dict": prefixed("network.", a)},
            r"is the state of a training, to resume it; its weights are in the \.safetensors files beside it",
        ),
        (
            lambda a, b: prefixed(
                "model.", {"conv_block1.0.weight": a["conv1_1.weight"], "classifier.6.weight": a["fc7.weight"]}
            ),
            "looks like a checkpoint of: meetps/pytorch-semseg FCN",
        ),
        (
            lambda a, b: {**prefixed("backbone.", a), "decoder.weight": a["fc7.weight"]},
            r"has an unknown layout: its 37 tensors start with backbone\.conv1_1\.bias",
        ),
    ],
)
def test_nothing_is_guessed(
    state: State, other: State, tmp_path: Path, content: Callable[[State, State], Mapping[str, Any]], message: str
) -> None:
    torch.save(content(state, other), tmp_path / "net.pth")
    with pytest.raises(CheckpointError, match=rf"net\.pth {message}"):
        load_checkpoint(tmp_path / "net.pth")
