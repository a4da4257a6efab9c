from __future__ import annotations

import argparse
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from fcnrt.fcn_models.checkpoint_file import read_checkpoint_file
from fcnrt.runtime.errors import CheckpointError

STATE = {"conv1_1.weight": torch.arange(108, dtype=torch.float32).reshape(4, 3, 3, 3), "conv1_1.bias": torch.ones(4)}


class Touch:
    """Unpickling this runs a shell command."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"touch '{self.path}'",)


def zip_format(content: object, path: Path) -> None:
    torch.save(content, path)


def old_format(content: object, path: Path) -> None:
    torch.save(content, path, _use_new_zipfile_serialization=False)


def plain_pickle(content: object, path: Path) -> None:
    path.write_bytes(pickle.dumps(content))


@pytest.mark.parametrize("write", [zip_format, old_format, save_file])
@pytest.mark.parametrize("name", ["net.pth", "net.safetensors.bak", "checkpoint"])
def test_the_content_decides_on_the_format(tmp_path: Path, write: object, name: str) -> None:
    write(STATE, tmp_path / name)  # type: ignore[operator]
    file = read_checkpoint_file(tmp_path / name)
    assert file.tensors.keys() == STATE.keys()
    assert all(torch.equal(file.tensors[key], tensor) for key, tensor in STATE.items())
    assert (file.metadata, file.arch) == (None, None)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (zip_format, r"net\.pth refused: contains (posix|nt)\.system, which is code; only tensors are loaded"),
        (old_format, r"net\.pth refused: contains (posix|nt)\.system, which is code; only tensors are loaded"),
        (plain_pickle, r"net\.pth refused: it is a pickle that torch\.save did not write.*only tensors are loaded"),
    ],
)
@pytest.mark.parametrize("inside_weights", [True, False])
def test_code_in_a_pickle_is_refused_and_not_run(
    tmp_path: Path, write: object, message: str, inside_weights: bool
) -> None:
    marker = tmp_path / "it_ran"
    content = STATE | {"evil": Touch(marker)} if inside_weights else {"state_dict": STATE, "evil": Touch(marker)}
    write(content, tmp_path / "net.pth")  # type: ignore[operator]
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint_file(tmp_path / "net.pth")
    assert not marker.exists()
    plain_pickle(content, tmp_path / "proof.pkl")
    with (tmp_path / "proof.pkl").open("rb") as file:
        pickle.load(file)
    assert marker.exists()  # it would have run


@pytest.mark.parametrize("write", [zip_format, old_format])
def test_the_command_line_of_a_training_script_is_harmless(tmp_path: Path, write: object) -> None:
    options = argparse.Namespace(lr=0.02, model="fcn_resnet50", test_only=False, weights=None)
    write({"model": STATE, "args": options, "epoch": 29}, tmp_path / "model_29.pth")  # type: ignore[operator]
    assert read_checkpoint_file(tmp_path / "model_29.pth").tensors.keys() == STATE.keys()
    marker = tmp_path / "it_ran"
    options.callback = Touch(marker)
    write({"model": STATE, "args": options}, tmp_path / "evil.pth")  # type: ignore[operator]
    with pytest.raises(CheckpointError, match=r"evil\.pth refused: contains (posix|nt)\.system, which is code"):
        read_checkpoint_file(tmp_path / "evil.pth")
    assert not marker.exists()


def test_a_module_saved_whole_is_refused_with_advice(tmp_path: Path) -> None:
    torch.save(nn.Conv2d(3, 4, 3), tmp_path / "net.pth")
    with pytest.raises(
        CheckpointError,
        match=r"contains torch\.nn\.modules\.conv\.Conv2d.*Save the state_dict\(\) of the model by itself",
    ):
        read_checkpoint_file(tmp_path / "net.pth")


@pytest.mark.parametrize("new_format", [True, False])
@pytest.mark.parametrize("protocol", [4, 5])
def test_a_newer_pickle_is_not_called_damaged(
    tmp_path: Path, new_format: bool, protocol: int, recwarn: pytest.WarningsRecorder
) -> None:
    torch.save(STATE, tmp_path / "net.pth", pickle_protocol=protocol, _use_new_zipfile_serialization=new_format)
    with pytest.raises(CheckpointError, match=r"net\.pth was saved with pickle_protocol=4 or higher.*save it again"):
        read_checkpoint_file(tmp_path / "net.pth")
    assert not recwarn.list


def test_missing_file_and_directory(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"no such checkpoint: .*nothing\.pth"):
        read_checkpoint_file(tmp_path / "nothing.pth")
    with pytest.raises(CheckpointError, match="is a directory; name the checkpoint file in it"):
        read_checkpoint_file(tmp_path)


def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(CheckpointError, match=r"cannot read .*: Too many levels of symbolic links"):
        read_checkpoint_file(tmp_path / "a")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("net.pth", b"", r"net\.pth is empty \(0 bytes\)"),
        ("net.safetensors", b"", r"net\.safetensors is empty \(0 bytes\)"),
        ("net.pth", b"<!DOCTYPE html><html>", r"net\.pth is not a checkpoint; expected a \.pth file"),
        ("net.safetensors", b"<!DOCTYPE html><html>", r"net\.safetensors is damaged or truncated \(21 bytes\)"),
        ("net.pth", b"x", r"net\.pth is not a checkpoint"),
        ("net.pth", b"\x80", r"net\.pth refused: it is a pickle that torch\.save did not write"),
    ],
)
def test_files_that_are_no_checkpoints(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint_file(tmp_path / name)


@pytest.mark.parametrize("write", [zip_format, old_format, save_file])
@pytest.mark.parametrize("kept", [0.02, 0.3, 0.6, 0.95])
def test_truncated_files(tmp_path: Path, write: object, kept: float) -> None:
    path = tmp_path / "net.pth"
    write({"weight": torch.randn(2000)}, path)  # type: ignore[operator]
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    with pytest.raises(CheckpointError, match=r"net\.pth is damaged or truncated \([\d,]+ bytes\)"):
        read_checkpoint_file(path)


def test_damage_anywhere_is_an_error_of_ours_or_none(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    torch.save({"state_dict": STATE, "epoch": 3}, path)
    intact = path.read_bytes()
    generator = np.random.default_rng(0)
    for position in generator.integers(0, len(intact), 150):
        damaged = bytearray(intact)
        damaged[position] ^= 1 << generator.integers(8)
        path.write_bytes(damaged)
        try:
            read_checkpoint_file(path)
        except CheckpointError as exc:  # not every bit matters
            assert "net.pth" in str(exc)


def test_other_archives(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "script.pt", "w") as archive:
        archive.writestr("script/data.pkl", b"")
        archive.writestr("script/constants.pkl", b"")
    with pytest.raises(CheckpointError, match=r"script\.pt is a TorchScript program; save the state_dict\(\)"):
        read_checkpoint_file(tmp_path / "script.pt")
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        archive.writestr("cat.jpg", b"")
    with pytest.raises(CheckpointError, match=r"photos\.zip is a ZIP archive without a PyTorch checkpoint in it"):
        read_checkpoint_file(tmp_path / "photos.zip")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "holds a list, not a state dict"),
        (torch.zeros(3), "holds a Tensor, not a state dict"),
        ({}, "holds no weights: found nothing"),
        (
            {"net": {"a": torch.zeros(1)}, "epoch": 3},
            "holds no weights: found net, epoch; expected tensors, or a state dict",
        ),
        ({"model_state_dict": {}}, "holds no weights"),
    ],
)
def test_checkpoints_without_weights(tmp_path: Path, content: object, message: str) -> None:
    torch.save(content, tmp_path / "net.pth")
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint_file(tmp_path / "net.pth")
