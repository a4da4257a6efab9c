"""The README of a golden pack: ten lines for whoever builds the model into a product."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .golden_pack import GoldenPack


def render_pack_readme(pack: GoldenPack) -> str:
    """The README, in Markdown."""
    spec, first = pack.spec, pack.frames[0].name
    engines = ""
    if pack.engines:
        engines = f"; built for TensorRT on the GPU that its manifest names: `{'`, `'.join(pack.engines)}`"
    exchange = "" if spec.channel_order == "rgb" else " exchange red and blue;"
    order = spec.channel_order.upper()
    return f"""\
# {pack.model}: {spec.num_classes} classes, frame in, class of every pixel out

1. Is everything here? `sha256sum -c SHA256SUMS`
2. `{pack.model}` runs in ONNX Runtime, OpenVINO and TensorRT{engines}.
3. Input `image`: uint8 [batch, height, width, 3], {order}, rows without padding, any size from 1x1.
4. Output `class_map`: uint8 [batch, height, width], of the same size; a value is the index of a class.
5. Nothing else is to be done: channel order, scaling, padding and arg-max are inside of the graph.
6. Classes and colours: `fcnrt_model.hpp` for C++, `palette.csv` for tables; `manifest.json` says all that is known.
7. Test: run `frames/{first}.ppm` (one line of text, then RGB bytes;{exchange} the same picture as `.png`). Your bytes
   must be those after the first line of `frames/{first}.classes.pgm`; their SHA-256 is in `manifest.json`.
8. The expected class maps are from {pack.expected_from}. Another processor or library rounds differently:
   a pixel whose two best classes are as good as tied may come out as the other one.
9. More than single pixels is a mistake: red and blue exchanged, padded rows, height and width exchanged.
10. In Python: `pip install "fcnrt[cpu]"`, then `fcnrt verify {pack.model}`.
"""
