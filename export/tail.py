"""The end of the graph, laid out as CPUs like it: enlarging and arg-max with the classes of a pixel side by side."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

_SCALES = "upsampling.scales"


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
    readers = [node for node in body.node if resize.output[0] in node.input]
    scales = next((tensor for tensor in body.initializer if tensor.name in resize.input[2:3]), None)
    if axis.i != 1 or len(readers) != 1 or scales is None:
        return
    batch, channels, rows, columns = numpy_helper.to_array(scales)
    if sum(scales.name in node.input for node in body.node) == 1:
        body.initializer.remove(scales)
    body.initializer.append(numpy_helper.from_array(np.array([batch, rows, columns, channels], np.float32), _SCALES))
    channels_last = f"{resize.input[0]}.channels_last"
    transpose = helper.make_node(
        "Transpose", [resize.input[0]], [channels_last], name=f"{resize.name}.transpose", perm=[0, 2, 3, 1]
    )
    resize.input[0], resize.input[2] = channels_last, _SCALES
    axis.i = 3
    body.node.insert(list(body.node).index(resize), transpose)
