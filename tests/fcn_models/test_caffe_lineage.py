"""The authors' Caffe models and their ports: .caffemodel, Chainer's .npz, and the network trained at once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from torch import nn

from fcnrt.fcn_models.checkpoint import load_checkpoint
from fcnrt.fcn_models.fcn import Variant
from fcnrt.runtime.errors import CheckpointError

VARIANTS: tuple[Variant, ...] = ("fcn32s", "fcn16s", "fcn8s")
SIZES = [(1, 1), (33, 47), (64, 64), (17, 130), (101, 75)]


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def check_logits(path: Path, original: nn.Module, height: int, width: int, **options: str) -> None:
    image = torch.randn(1, 3, height, width)
    with torch.no_grad():
        expected = original(image)
        atol = 1e-5 * float(expected.abs().max())
        torch.testing.assert_close(load_checkpoint(path, **options).model(image), expected, atol=atol, rtol=1e-4)


# --- Caffe -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def net_parameter() -> Callable[[], Any]:
    """Caffe's NetParameter, made by Google's own library from the fields of caffe.proto."""
    file = descriptor_pb2.FileDescriptorProto(name="caffe_for_tests.proto", package="caffe_for_tests", syntax="proto2")
    field = descriptor_pb2.FieldDescriptorProto

    def message(name: str, *fields: tuple[str, int, int, bool, str]) -> None:
        added = file.message_type.add(name=name)
        for label, number, kind, repeated, type_name in fields:
            declared = added.field.add(name=label, number=number, type=kind)
            if type_name:
                declared.type_name = type_name
            declared.label = field.LABEL_REPEATED if repeated else field.LABEL_OPTIONAL
            declared.options.packed = repeated and kind in (field.TYPE_INT64, field.TYPE_FLOAT, field.TYPE_DOUBLE)

    message("BlobShape", ("dim", 1, field.TYPE_INT64, True, ""))
    message(
        "BlobProto",
        *((name, i, field.TYPE_INT32, False, "") for i, name in enumerate(("num", "channels", "height", "width"), 1)),
        ("data", 5, field.TYPE_FLOAT, True, ""),
        ("diff", 6, field.TYPE_FLOAT, True, ""),
        ("shape", 7, field.TYPE_MESSAGE, False, ".caffe_for_tests.BlobShape"),
        ("double_data", 8, field.TYPE_DOUBLE, True, ""),
    )
    blobs = ".caffe_for_tests.BlobProto"
    message(
        "LayerParameter",
        ("name", 1, field.TYPE_STRING, False, ""),
        ("type", 2, field.TYPE_STRING, False, ""),
        ("bottom", 3, field.TYPE_STRING, True, ""),
        ("blobs", 7, field.TYPE_MESSAGE, True, blobs),
        ("phase", 10, field.TYPE_INT32, False, ""),
    )
    message(
        "V1LayerParameter",
        ("bottom", 2, field.TYPE_STRING, True, ""),
        ("name", 4, field.TYPE_STRING, False, ""),
        ("type", 5, field.TYPE_INT32, False, ""),
        ("blobs", 6, field.TYPE_MESSAGE, True, blobs),
    )
    message(
        "NetParameter",
        ("name", 1, field.TYPE_STRING, False, ""),
        ("layers", 2, field.TYPE_MESSAGE, True, ".caffe_for_tests.V1LayerParameter"),
        ("layer", 100, field.TYPE_MESSAGE, True, ".caffe_for_tests.LayerParameter"),
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("caffe_for_tests.NetParameter"))


def add_layer(net: Any, name: str, *tensors: torch.Tensor, form: str = "new") -> None:
    layer = (net.layers if form == "v1" else net.layer).add(name=name)
    layer.bottom.append("data")
    for tensor in tensors:
        blob = layer.blobs.add()
        values = tensor.detach().flatten().tolist()
        if form == "v1":
            blob.num, blob.channels, blob.height, blob.width = (1,) * (4 - tensor.ndim) + tuple(tensor.shape)
        else:
            blob.shape.dim.extend(tensor.shape)
        (blob.double_data if form == "double" else blob.data).extend(values)


def write_caffemodel(net: Any, original: nn.Module, path: Path, *, form: str = "new", **more: torch.Tensor) -> None:
    net.name = "FCN"
    add_layer(net, "data", form=form)  # layers without weights are in the file, too
    for name, layer in original.named_children():
        bias = [] if layer.bias is None else [layer.bias]
        add_layer(net, name, layer.weight, *bias, form=form)
    for name, tensor in more.items():
        add_layer(net, name, tensor, form=form)
    path.write_bytes(net.SerializeToString())


@pytest.mark.parametrize("form", ["new", "v1", "double"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_caffe_model_computes_the_same(port_of_caffe, net_parameter, tmp_path: Path, variant: str, form: str) -> None:
    original, path = port_of_caffe(variant), tmp_path / "fcn-heavy-pascal.caffemodel"
    write_caffemodel(net_parameter(), original, path, form=form)
    check_logits(path, original, 33, 47)
    checkpoint = load_checkpoint(path)
    assert (checkpoint.layout, checkpoint.preprocessing) == ("Caffe model layout", "caffe_bgr")
    assert (checkpoint.model.config.variant, checkpoint.model.config.align) == (variant, "caffe")


def test_caffe_model_of_an_at_once_net_brings_its_own_scales(port_of_caffe, net_parameter, tmp_path: Path) -> None:
    original, path = port_of_caffe("fcn8s"), tmp_path / "net.caffemodel"
    original.pool4_scale = torch.rand(16).view(-1, 1, 1)
    original.pool3_scale = torch.rand(8).view(-1, 1, 1)
    scales = {"scale_pool4": original.pool4_scale.flatten(), "scale_pool3": original.pool3_scale.flatten()}
    write_caffemodel(net_parameter(), original, path, **scales)
    check_logits(path, original, 33, 47)
    check_logits(path, original, 33, 47, variant="fcn8s_atonce")
    with pytest.raises(CheckpointError, match="has variant fcn8s_atonce, but fcn8s was asked for"):
        load_checkpoint(path, variant="fcn8s")


@pytest.mark.parametrize(
    ("scales", "message"),
    [
        ({"scale_pool4": torch.ones(16)}, r"not part of it: scale_pool4\.weight"),
        ({"scale_pool4": torch.ones(16), "scale_pool3": torch.ones(5)}, "scale_pool3 has 5 values for 8 channels"),
        ({"scale_pool4": torch.ones(16), "scale_pool3": torch.ones(8) * torch.nan}, "NaN or infinite.*scale_pool3"),
        ({"scale_pool4": torch.ones(0), "scale_pool3": torch.ones(8)}, r"has no numbers in scale_pool4\.weight"),
    ],
)
def test_unusable_scales_are_named(
    port_of_caffe, net_parameter, tmp_path: Path, scales: dict[str, torch.Tensor], message: str
) -> None:
    write_caffemodel(net_parameter(), port_of_caffe("fcn8s"), tmp_path / "net.caffemodel", **scales)
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(tmp_path / "net.caffemodel")


def test_caffe_layers_that_do_not_fit_are_named(port_of_caffe, net_parameter, tmp_path: Path) -> None:
    original, path = port_of_caffe("fcn16s"), tmp_path / "net.caffemodel"
    original.conv2_1, original.conv2_2 = original.conv2_2, original.conv2_1
    write_caffemodel(net_parameter(), original, path)
    with pytest.raises(CheckpointError, match=r"wrong shape: conv2_1\.weight \(4, 4, 3, 3\) instead of \(4, 2, 3, 3\)"):
        load_checkpoint(path)
    net = net_parameter()
    add_layer(net, "bn1", torch.ones(2), torch.ones(2), torch.ones(1))
    path.write_bytes(net.SerializeToString())
    with pytest.raises(CheckpointError, match="layer bn1 has 3 blobs"):
        load_checkpoint(path)


def test_damaged_caffe_models(port_of_caffe, net_parameter, tmp_path: Path) -> None:
    path = tmp_path / "net.caffemodel"
    write_caffemodel(net_parameter(), port_of_caffe("fcn8s"), path)
    intact = path.read_bytes()
    for kept in (0.01, 0.5, 0.99):
        path.write_bytes(intact[: int(len(intact) * kept)])
        with pytest.raises(CheckpointError, match=r"net\.caffemodel is damaged or truncated \([\d,]+ bytes\)"):
            load_checkpoint(path)
    for content, message in (
        (b"<!DOCTYPE html><html>", "is not a Caffe model, or is damaged|is damaged or truncated"),
        (b"\n\x03FCN", "holds no weights; a .prototxt describes a net"),
        (b"name: 'FCN'\nlayer {}", "is not a Caffe model, or is damaged|is damaged or truncated"),
    ):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=message):
            load_checkpoint(path)
    net = net_parameter()
    add_layer(net, "conv1_1", torch.ones(4))
    net.layer[0].blobs[0].shape.dim[0] = 5
    path.write_bytes(net.SerializeToString())
    with pytest.raises(CheckpointError, match="is not a Caffe model, or is damaged"):
        load_checkpoint(path)


# --- Chainer ---------------------------------------------------------------------------------------------------------


def chainer_arrays(original: nn.Module) -> dict[str, np.ndarray]:
    names = {"weight": "W", "bias": "b"}
    arrays = {}
    for key, tensor in original.state_dict().items():
        layer, kind = key.split(".")
        arrays[f"{layer}/{names[kind]}"] = tensor.numpy()
        if layer.startswith("upscore"):
            arrays[f"{layer}/b"] = np.zeros(len(tensor), np.float32)
    return arrays


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("variant", VARIANTS)
def test_chainer_archive_computes_the_same(port_of_caffe, tmp_path: Path, variant: str, save: Any) -> None:
    original, path = port_of_caffe(variant), tmp_path / "fcn_from_caffe.npz"
    save(path, **chainer_arrays(original))
    check_logits(path, original, 33, 47, variant=variant)
    checkpoint = load_checkpoint(path, variant=variant)
    assert (checkpoint.layout, checkpoint.preprocessing) == ("wkentaro/fcn layout (Chainer)", "caffe_bgr")
    assert checkpoint.model.config.align == "caffe"


def test_chainer_archive_of_the_other_byte_order(port_of_caffe, tmp_path: Path) -> None:
    original, path = port_of_caffe("fcn32s"), tmp_path / "net.npz"
    np.savez(path, **{key: array.astype(">f4") for key, array in chainer_arrays(original).items()})
    check_logits(path, original, 33, 47)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"upscore8/b": np.ones(5, np.float32)}, "upscore8/b is not zero; upsampling layers have no bias"),
        ({"fc6/W": np.array(None)}, "refused: it contains Python objects, which may be code"),
        ({"fc7/b": np.zeros(12, np.int64)}, "fc7/b is int64, not floating-point numbers"),
        ({"fc7/b": np.zeros(12, np.longdouble)}, "fc7/b is float128, not floating-point numbers of 16, 32 or 64 bits"),
        ({"epoch": np.array(3)}, "not of a Chainer network: it has 'epoch' where names like 'conv1_1/W'"),
        ({"fc7/b": np.zeros(13, np.float32)}, r"wrong shape: fc7\.bias \(13,\) instead of \(12,\)"),
    ],
)
def test_chainer_archives_that_do_not_fit(
    port_of_caffe, tmp_path: Path, change: dict[str, np.ndarray], message: str
) -> None:
    np.savez(tmp_path / "net.npz", **(chainer_arrays(port_of_caffe("fcn8s")) | change))
    with pytest.raises(CheckpointError, match=message):
        load_checkpoint(tmp_path / "net.npz", variant="fcn8s")


def test_damaged_chainer_archives(port_of_caffe, tmp_path: Path) -> None:
    path = tmp_path / "net.npz"
    np.savez_compressed(path, **chainer_arrays(port_of_caffe("fcn8s")))
    intact = path.read_bytes()
    path.write_bytes(intact[: len(intact) // 2])
    with pytest.raises(CheckpointError, match=r"net\.npz is damaged or truncated"):
        load_checkpoint(path)
    path.write_bytes(intact[:2000] + b"\0" * 200 + intact[2200:])
    with pytest.raises(CheckpointError, match=r"net\.npz"):
        load_checkpoint(path)


# --- trained at once -------------------------------------------------------------------------------------------------


@torch.no_grad()
def check_matters(original: nn.Module, scale: str) -> None:
    image = torch.randn(1, 3, 40, 40)
    with_scale, value = original(image), getattr(original, scale)
    setattr(original, scale, 1.0)
    assert (original(image) - with_scale).abs().max() > with_scale.abs().max()
    setattr(original, scale, value)


@pytest.mark.parametrize("size", SIZES)
def test_at_once_net_that_was_asked_for_computes_the_same(port_of_caffe, tmp_path: Path, size: tuple[int, int]) -> None:
    original, path = port_of_caffe("fcn8s", at_once=True), tmp_path / "net.pth"
    with torch.no_grad():  # as trained weights do, they make up for the scales
        original.score_pool4.weight.mul_(100)
        original.score_pool3.weight.mul_(10000)
    check_matters(original, "pool3_scale")
    torch.save(original.state_dict(), path)
    check_logits(path, original, *size, variant="fcn8s_atonce")
    checkpoint = load_checkpoint(path, variant="fcn8s_atonce")
    assert checkpoint.model.config.variant == "fcn8s_atonce"
    assert checkpoint.source == "net.pth (at-once: the scales of its skips are in the score layers)"


def test_at_once_net_is_known_by_its_training_checkpoint(port_of_caffe, tmp_path: Path) -> None:
    original, path = port_of_caffe("fcn8s", at_once=True), tmp_path / "model_best.pth.tar"
    torch.save({"arch": "FCN8sAtOnce", "model_state_dict": original.state_dict()}, path)
    check_logits(path, original, 33, 47)
    with pytest.raises(CheckpointError, match="has variant fcn8s_atonce, but fcn8s was asked for"):
        load_checkpoint(path, variant="fcn8s")
    torch.save({"arch": "FCN8s", "model_state_dict": original.state_dict()}, path)
    with pytest.raises(CheckpointError, match="has variant FCN8s, but fcn8s_atonce was asked for"):
        load_checkpoint(path, variant="fcn8s_atonce")


@pytest.mark.parametrize("name", ["net.pth", "fcn8s_from_caffe.pth", "fcn8s-atonce_from_caffe.pth", "net.npz"])
def test_where_nothing_but_the_name_tells_it_is_asked_and_not_guessed(port_of_caffe, tmp_path: Path, name: str) -> None:
    original, path = port_of_caffe("fcn8s"), tmp_path / name
    if path.suffix == ".npz":
        np.savez(path, **chainer_arrays(original))
    else:
        torch.save(original.state_dict(), path)
    with pytest.raises(CheckpointError, match=rf"^{name} does not tell .* Give the variant, fcn8s or fcn8s_atonce, or"):
        load_checkpoint(path)
    check_logits(path, original, 33, 47, variant="fcn8s")


def test_nothing_is_asked_where_the_file_tells(port_of_caffe, net_parameter, tmp_path: Path) -> None:
    trained, caffe, other = tmp_path / "a.pth", tmp_path / "b.caffemodel", tmp_path / "c.pth"
    original = port_of_caffe("fcn8s")
    torch.save({"arch": "FCN8s", "model_state_dict": original.state_dict()}, trained)
    write_caffemodel(net_parameter(), original, caffe)
    torch.save(port_of_caffe("fcn16s").state_dict(), other)
    assert [load_checkpoint(path).model.config.variant for path in (trained, caffe, other)] == [
        "fcn8s",
        "fcn8s",
        "fcn16s",
    ]


def test_at_once_asked_of_another_net_is_refused(port_of_caffe, tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    torch.save(port_of_caffe("fcn16s").state_dict(), path)
    with pytest.raises(CheckpointError, match=r"does not fit fcn8s_atonce; missing: score_pool3\.weight"):
        load_checkpoint(path, variant="fcn8s_atonce")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_port_of_caffe_computes_the_same_at_every_size(
    port_of_caffe, tmp_path: Path, variant: str, size: tuple[int, int]
) -> None:
    original, path = port_of_caffe(variant), tmp_path / "net.pth"
    torch.save(original.state_dict(), path)
    check_logits(path, original, *size, variant=variant)
    swapped = original.state_dict()
    swapped["conv5_1.weight"], swapped["conv5_2.weight"] = swapped["conv5_2.weight"], swapped["conv5_1.weight"]
    torch.save(swapped, path)
    with pytest.raises(AssertionError, match="Tensor-likes are not close"):  # the comparison can tell
        check_logits(path, original, *size, variant=variant)
