from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from fcnrt.runtime.errors import ModelFileError
from fcnrt.runtime.spec import ImageSize, ModelSpec


def test_image_size_reads_what_it_writes() -> None:
    size = ImageSize.parse(" 512x640 ")
    assert (size.height, size.width) == (512, 640)
    assert str(size) == "512x640"


@pytest.mark.parametrize("text", ["512", "512X640", "512x", "x640", "-1x5", "5x5x5", "", "1.5x2"])
def test_image_size_refuses_other_text(text: str) -> None:
    with pytest.raises(ValueError, match="is not a size; write HEIGHTxWIDTH, for example 512x640"):
        ImageSize.parse(text)


@pytest.mark.parametrize(("height", "width"), [(0, 5), (5, 0), (-1, 5)])
def test_image_size_is_at_least_one_pixel(height: int, width: int) -> None:
    with pytest.raises(ValueError, match=f"must be at least 1x1, got {height}x{width}"):
        ImageSize(height, width)


def test_spec_survives_the_way_through_json(tiny_spec: ModelSpec) -> None:
    spec = dataclasses.replace(tiny_spec, class_names=("Straße", "空", "b"), outputs=("class_map", "logits"))
    assert ModelSpec.from_json(spec.to_json()) == spec


def test_fields_of_newer_versions_are_ignored(tiny_spec: ModelSpec) -> None:
    data = json.loads(tiny_spec.to_json()) | {"mood": "sunny"}
    assert ModelSpec.from_json(json.dumps(data)) == tiny_spec


def test_newer_format_asks_for_an_upgrade(tiny_spec: ModelSpec) -> None:
    data = json.loads(tiny_spec.to_json()) | {"format": 99}
    with pytest.raises(ModelFileError, match=r"metadata format 99; this fcnrt reads up to 1. Upgrade fcnrt"):
        ModelSpec.from_json(json.dumps(data))


@pytest.mark.parametrize(
    "damage",
    [
        {"class_names": 5},
        {"palette": [[1, 2]]},
        {"palette": [[0, 0, 0]]},
        {"palette": [[0, 0, 256]] * 3},
        {"palette": [[float("inf"), 0, 0]] * 3},
        {"channel_order": "grb"},
        {"outputs": ["logits"]},
        {"class_names": []},
        {"format": "new"},
        {"palette": [[300, 0, 0], [0, 0, 0], [0, 0, 0]]},
        {"palette": [[0, 0, 0], [0, -1, 0], [0, 0, 0]]},
        {"class_names": [0, 1, 2]},
        {"precision": "fp99"},
        {"infer_size": 7},
        {"infer_size": "7 or so"},
        {"overlay_opacity": 2},
        {"overlay_opacity": "thick"},
    ],
)
def test_damaged_metadata_is_named(tiny_spec: ModelSpec, damage: dict[str, Any]) -> None:
    data = json.loads(tiny_spec.to_json()) | damage
    with pytest.raises(ModelFileError, match=r"metadata is damaged \(.+\); export the model again"):
        ModelSpec.from_json(json.dumps(data))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", "[" * 100_000])
def test_text_that_is_no_spec_is_damaged_metadata(text: str) -> None:
    with pytest.raises(ModelFileError, match="metadata is damaged"):
        ModelSpec.from_json(text)


def test_palette_must_fit_the_classes(tiny_spec: ModelSpec) -> None:
    with pytest.raises(ValueError, match="the palette has 1 colours for 3 classes"):
        dataclasses.replace(tiny_spec, palette=((0, 0, 0),))
