"""The end of the graph, laid out as CPUs like it: enlarging and arg-max with the classes of a pixel side by side."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

CHANNELS_LAST_FROM = 17
"""Classes from which on the layout pays: for fewer, TensorRT-RTX 1.7 keeps four copies of the enlarged scores."""

_SCALES, _SIZES, _ORDER = "upsampling.scales", "upsampling.sizes", "upsampling.channels_last"


def lay_out_channels_last(graph: onnx.ModelProto) -> None:
    """Let the last linear Resize and the ArgMax behind it work on (N, H, W, C) instead of (N, C, H, W).

    The same sums, products and comparisons for each pixel, in the same order: class maps are equal to the bit, ties and
    NaN included. What is transposed is the small map before the enlargement. A graph whose enlarged scores are read by
    others as well (confidence, logits) stays as it is, and so does one that ends otherwise.
    """
    body = graph.graph
    makers = {name: node for node in body.node for name in node.output}
    argmax = next((node for node in body.node if node.op_type == "ArgMax"), None)
    resize = None if argmax is None else makers.get(argmax.input[0])
    if argmax is None or resize is None or resize.op_type != "Resize":
        return
    axis = next(attribute for attribute in argmax.attribute if attribute.name == "axis")
    logits = resize.output[0]
    read_by_others = any(node is not argmax and logits in node.input for node in body.node) or any(
        output.name == logits for output in body.output
    )
    scales = next((tensor for tensor in body.initializer if tensor.name in resize.input[2:3]), None)
    by_sizes = len(resize.input) == 4 and all(attribute.name != "axes" for attribute in resize.attribute)
    if axis.i != 1 or read_by_others or (scales is None and not by_sizes):
        return
    position = list(body.node).index(resize)
    if scales is not None:
        batch, channels, rows, columns = numpy_helper.to_array(scales)
        if sum(scales.name in node.input for node in body.node) == 1:
            body.initializer.remove(scales)
        reordered = np.array([batch, rows, columns, channels], np.float32)
        body.initializer.append(numpy_helper.from_array(reordered, _SCALES))
        resize.input[2] = _SCALES
    else:
        body.initializer.append(numpy_helper.from_array(np.array([0, 2, 3, 1], np.int64), _ORDER))
        body.node.insert(position, helper.make_node("Gather", [resize.input[3], _ORDER], [_SIZES], name=_SIZES))
        resize.input[3] = _SIZES
    channels_last = f"{resize.input[0]}.channels_last"
    transpose = helper.make_node(
        "Transpose", [resize.input[0]], [channels_last], name=f"{resize.name}.transpose", perm=[0, 2, 3, 1]
    )
    resize.input[0] = channels_last
    axis.i = 3
    body.node.insert(position, transpose)
