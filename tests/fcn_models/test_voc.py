from __future__ import annotations

import hashlib

from fcnrt.fcn_models.voc import VOC_CLASSES, voc_palette


def test_palette_is_the_development_kits() -> None:
    palette = voc_palette()
    assert palette[1] == (128, 0, 0)
    assert palette[15] == (192, 128, 128)
    assert palette[255] == (224, 224, 192)
    assert len(set(palette)) == 256
    # SHA-256 of the palette as stored in the label images of VOC2012.
    digest = hashlib.sha256(bytes(channel for colour in palette for channel in colour)).hexdigest()
    assert digest == "ec76f86cfddd0f4c0768796cda862d8f5099af416b298a406db7e84b55136fc9"


def test_classes() -> None:
    assert len(VOC_CLASSES) == 21
    assert VOC_CLASSES[0] == "background"
    assert VOC_CLASSES[15] == "person"
