"""Faults that are planted in an exported file, each by an operation on its graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from onnx import GraphProto, NodeProto, helper, numpy_helper

PlantIn = Callable[[GraphProto], None]


def weight(graph: GraphProto, name: str, change: Callable[[np.ndarray], np.ndarray]) -> None:
    tensor = next(tensor for tensor in graph.initializer if tensor.name == name)
    values = np.ascontiguousarray(change(numpy_helper.to_array(tensor)))
    tensor.CopyFrom(numpy_helper.from_array(values, name))


def nodes(graph: GraphProto, kind: str) -> Iterator[NodeProto]:
    found = [node for node in graph.node if node.op_type == kind]
    assert found, kind
    return iter(found)


def attribute(node: NodeProto, name: str, value: object) -> None:
    for existing in [entry for entry in node.attribute if entry.name == name]:
        node.attribute.remove(existing)
    node.attribute.append(helper.make_attribute(name, value))


def raise_one_score(graph: GraphProto) -> None:
    weight(graph, "score_fr.bias", lambda bias: bias + np.float32(50) * (np.arange(len(bias)) == 2))


def swap_colours(graph: GraphProto) -> None:
    weight(graph, "conv1_1.weight", lambda w: w[:, ::-1])
    weight(graph, "mean", lambda mean: mean[::-1])


def swap_mean(graph: GraphProto) -> None:
    weight(graph, "mean", lambda mean: mean[::-1])


def drop_mean(graph: GraphProto) -> None:
    weight(graph, "mean", np.zeros_like)


def shift_mean(graph: GraphProto) -> None:
    weight(graph, "mean", lambda mean: mean + np.float32(20))


def forget_the_division(graph: GraphProto) -> None:
    weight(graph, "conv1_1.weight", lambda w: w * np.float32(255))


def forget_the_deviation(graph: GraphProto) -> None:
    deviation = np.array([0.229, 0.224, 0.225], np.float32)[:, None, None]
    weight(graph, "conv1_1.weight", lambda w: w * deviation)


def scale_by_a_third_more(graph: GraphProto) -> None:
    weight(graph, "conv1_1.weight", lambda w: w * np.float32(1.3))


def swap_height_and_width(graph: GraphProto) -> None:
    turn = next(nodes(graph, "Transpose"))
    attribute(turn, "perm", [0, 3, 2, 1])
    for node in graph.node:  # sizes are asked for in the other order, and the class map is turned back
        if node.op_type == "Shape" and "image" in node.input:
            start = next((entry.i for entry in node.attribute if entry.name == "start"), 0)
            if start in (1, 2):
                attribute(node, "start", 3 - start)
                attribute(node, "end", 4 - start)
    last = next(node for node in graph.node if "class_map" in node.output)
    last.output[0] = "turned_map"
    cast = last.input[0]
    last.input[0] = "turned_back"
    graph.node.insert(
        list(graph.node).index(last), helper.make_node("Transpose", [cast], ["turned_back"], perm=[0, 2, 1])
    )
    last.output[0] = "class_map"


def nearest(graph: GraphProto) -> None:
    for node in nodes(graph, "Resize"):
        attribute(node, "mode", "nearest")


def nearest_at_the_end(graph: GraphProto) -> None:
    *_, last = nodes(graph, "Resize")
    attribute(last, "mode", "nearest")
    attribute(last, "nearest_mode", "floor")
    attribute(last, "coordinate_transformation_mode", "asymmetric")


def align_corners(graph: GraphProto) -> None:
    for node in nodes(graph, "Resize"):
        attribute(node, "coordinate_transformation_mode", "align_corners")


def align_corners_at_the_end(graph: GraphProto) -> None:
    *_, last = nodes(graph, "Resize")
    attribute(last, "coordinate_transformation_mode", "align_corners")


def floor_pools(graph: GraphProto) -> None:
    for node in nodes(graph, "MaxPool"):
        attribute(node, "ceil_mode", 0)


def move(graph: GraphProto, values: str) -> None:
    """Delay what comes out of `values` (one row and one column) by padding in front and cropping behind."""
    producer = next(node for node in graph.node if values in node.output)
    position = list(graph.node).index(producer) + 1
    axes = [1, 2] if producer.op_type == "ArgMax" else [2, 3]
    dims = 3 if producer.op_type == "ArgMax" else 4
    for name, array in (
        ("move_pads", [0] * (dims - 2) + [0, 0] + [0] * (dims - 2) + [1, 1]),
        ("move_starts", [1, 1]),
        ("move_ends", [2**31, 2**31]),
        ("move_axes", axes),
    ):
        graph.initializer.append(numpy_helper.from_array(np.array(array, np.int64), name))
    for node in graph.node:
        for index, name in enumerate(node.input):
            if name == values:
                node.input[index] = "moved"
    graph.node.insert(position, helper.make_node("Pad", [values, "move_pads"], ["padded"], mode="edge"))
    graph.node.insert(
        position + 1, helper.make_node("Slice", ["padded", "move_starts", "move_ends", "move_axes"], ["moved"])
    )


def last_crop_off_by_one(graph: GraphProto) -> None:
    move(graph, next(nodes(graph, "ArgMax")).output[0])


def skip_crop_off_by_one(graph: GraphProto) -> None:
    move(graph, next(node for node in graph.node if node.name == "score_pool4").output[0])


def permute_classes(graph: GraphProto) -> None:
    for layer in ("score_fr", "score_pool4", "score_pool3"):
        permute_one_layer(graph, layer)


def rotate_classes(graph: GraphProto) -> None:
    for layer in ("score_fr", "score_pool4", "score_pool3"):
        for name in (f"{layer}.weight", f"{layer}.bias"):
            weight(graph, name, lambda values: np.roll(values, 1, axis=0))


def count_from_one(graph: GraphProto) -> None:
    last = next(node for node in graph.node if "class_map" in node.output)
    graph.initializer.append(numpy_helper.from_array(np.array(1, np.int64), "one"))
    graph.node.insert(list(graph.node).index(last), helper.make_node("Add", [last.input[0], "one"], ["counted"]))
    last.input[0] = "counted"


def negate_a_filter(graph: GraphProto) -> None:
    weight(graph, "conv4_2.weight", lambda w: np.concatenate([-w[:1], w[1:]]))


def forget_a_number(graph: GraphProto) -> None:
    weight(graph, "conv3_1.weight", lambda w: np.where(np.arange(w.size).reshape(w.shape) == 5, np.float32(np.nan), w))


def permute_one_layer(graph: GraphProto, layer: str = "score_pool3") -> None:
    for name in (f"{layer}.weight", f"{layer}.bias"):
        weight(graph, name, lambda values: values[[0, 4, 2, 3, 1, 5]])
