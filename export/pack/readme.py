"""The README of a golden pack: ten lines for whoever builds the model into a product."""

from __future__ import annotations

from collections.abc import Sequence

from ...runtime.output_layout import output_layouts
from ...runtime.spec import ModelSpec


def render_pack_readme(spec: ModelSpec, *, model: str, engines: Sequence[str], frame: str, expected_from: str) -> str:
    """The README, in Markdown.

    Args:
        spec: What is known about the model.
        model: Name of the ONNX file.
        engines: Names of the engines.
        frame: Name of a test frame, without the suffix of a file.
        expected_from: What computed the expected class maps.
    """
    built = ""
    if engines:
        built = f"; built for one TensorRT and its GPUs, which the manifests name: `{'`, `'.join(engines)}`"
    exchange = "" if spec.channel_order == "rgb" else " exchange red and blue;"
    order = spec.channel_order.upper()
    others = [f"`{name}` {layout}" for name, layout in output_layouts(spec).items() if name != "class_map"]
    further = f"\n   Further outputs: {', '.join(others)}." if others else ""
    return f"""\
# {model}: {spec.num_classes} classes, frame in, class of every pixel out

1. Is everything here? `sha256sum -c SHA256SUMS`
2. `{model}` runs in ONNX Runtime, OpenVINO and TensorRT{built}.
3. Input `image`: uint8 [batch, height, width, 3], {order}, rows without padding, any size from 1x1;
   OpenVINO may refuse a height or width below 17.
4. Output `class_map`: uint8 [batch, height, width], of the same size; a value is the index of a class.{further}
5. Nothing else is to be done: channel order, scaling, padding and arg-max are inside of the graph.
6. Classes and colours: `fcnrt_model.hpp` for C++17, `palette.csv` for tables; `manifest.json` says all that is
   known. Two models in one program: include the header of each in a .cpp of its own.
7. Test: run `frames/{frame}.ppm` (one line of text, then RGB bytes;{exchange} the same picture as `.png`). Your bytes
   must be those after the first line of `frames/{frame}.classes.pgm`; their SHA-256 is in `manifest.json`.
8. The expected class maps are from {expected_from}. Another processor or library rounds differently:
   a pixel whose two best classes are as good as tied may come out as the other one.
9. More than single pixels is a mistake: red and blue exchanged, padded rows, height and width exchanged.
10. In Python: `pip install fcnrt onnxruntime`, then `fcnrt verify {model}`.
"""
