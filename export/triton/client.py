"""Segment a picture on a Triton server: python client.py PICTURE [HOST:PORT].

Needs: pip install "tritonclient[grpc]" pillow. Writes PICTURE-classes.png, a palette image of class indices.
"""

import json
import sys
from pathlib import Path

import numpy as np
import tritonclient.grpc as triton  # type: ignore[import-not-found]
from PIL import Image

picture = Path(sys.argv[1])
name = Path(__file__).resolve().parent.name
client = triton.InferenceServerClient(sys.argv[2] if len(sys.argv) > 2 else "localhost:8001")
spec = json.loads(client.get_model_config(name).config.parameters["model_spec"].string_value)

frame = np.asarray(Image.open(picture).convert("RGB"))[None]  # (1, H, W, 3)
if spec["channel_order"] == "bgr":
    frame = np.ascontiguousarray(frame[..., ::-1])
image = triton.InferInput("image", frame.shape, "UINT8")
image.set_data_from_numpy(frame)
class_map = client.infer(name, [image]).as_numpy("class_map")[0]  # (H, W)

result = Image.fromarray(class_map)
result.putpalette([value for color in spec["palette"] for value in color])
result.save(picture.with_name(f"{picture.stem}-classes.png"))
for index, count in zip(*np.unique(class_map, return_counts=True), strict=True):
    print(f"{spec['class_names'][index]:15} {count / class_map.size:6.1%}")
