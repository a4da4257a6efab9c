from __future__ import annotations

import base64
import dataclasses
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import cv2
import numpy as np
import pytest

from fcnrt.benchmarks.verify.diagnosis import Diagnosis, Finding
from fcnrt.benchmarks.verify.hop import Evidence, HopTally
from fcnrt.benchmarks.verify.junit import render_junit
from fcnrt.benchmarks.verify.margin_histogram import margin_histogram
from fcnrt.benchmarks.verify.page import render_html
from fcnrt.benchmarks.verify.parity import Parity
from fcnrt.benchmarks.verify.verification import Verification
from fcnrt.benchmarks.verify.worst_frames import FAULT_COLOUR, TIE_COLOUR, draw

NAMES = ("ground", "<b>cat</b>")
PALETTE = ((10, 20, 30), (200, 100, 50))


@pytest.fixture
def found() -> Verification:
    """A sound first hop and a second one with 50 faults and 10 ties among 60 x 80 pixels."""
    logits = np.zeros((2, 60, 80), np.float32)
    logits[0] = 1
    logits[1, 20:30] = 3  # class 1, by a margin of 2
    logits[0, 40, :10] = logits[1, 40, :10] = 2  # ties
    class_map = logits.argmax(0).astype(np.uint8)
    broken = class_map.copy()
    broken[20, :50] = 0
    broken[40, :10] = 1
    frame = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    truth = class_map.copy()
    truth[:5] = 255
    hops = []
    for name, result in (("PyTorch -> fp32 graph", class_map), ("fp32 graph -> engine", broken)):
        tally = HopTally(name, "fp32", NAMES)
        tally.add(Evidence("street & co.png", frame, result), logits, label=truth, half_logits=None)
        hops.append(tally.finish())
    finding = Finding("red and blue swapped", "with the channels exchanged", 0.99, 0.98, 0.0, 0.01)
    return Verification(
        Path("model.onnx"), "net.pth", Parity(tuple(hops), NAMES), Diagnosis(finding, tried=1), skipped=3
    )


class Tags(HTMLParser):
    """Collects tags, and checks that they are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self.feed(text)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag


def test_html_is_one_file(found: Verification) -> None:
    text = render_html(found, PALETTE)
    tags = Tags(text).found
    sources = [attributes["src"] for tag, attributes in tags if tag == "img"]
    assert len(sources) == 4
    for source in sources:
        data = base64.b64decode(source.removeprefix("data:image/png;base64,"), validate=True)
        assert cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).shape == (60, 80, 3)
    assert not re.search(r"https?:|//[a-z]|@import|<script|<link", re.sub('base64,[^"]*', "", text), re.IGNORECASE)
    assert "prefers-color-scheme: dark" in text
    assert ("meta", {"name": "viewport", "content": "width=device-width, initial-scale=1"}) in tags


def test_html_says_what_was_found(found: Verification) -> None:
    text = render_html(found, PALETTE)
    assert "model.onnx is not the PyTorch model" in text
    assert "Looks like: red and blue swapped (99 % of pixels equal with the channels exchanged, 98 % without)." in text
    assert "<strong>fp32 graph -&gt; engine</strong>" in text
    assert "3 frames of other sizes left out" in text
    assert "&lt;b&gt;cat&lt;/b&gt;" in text  # names are data
    assert "<b>" not in text
    assert "street &amp; co.png" in text
    assert "<dt>faults</dt><dd>50</dd>" in text


def test_html_of_a_sound_model(found: Verification) -> None:
    sound = Verification(found.model, found.reference, Parity(found.parity.hops[:1], NAMES), diagnosis=None, skipped=0)
    text = render_html(sound, PALETTE)
    assert "model.onnx is the PyTorch model" in text
    assert "No pixel differs." in text
    assert "What broke" not in text
    Tags(text)


def test_html_of_a_single_pixel(found: Verification) -> None:
    hop = dataclasses.replace(found.parity.hops[1], differing=1)
    text = render_html(dataclasses.replace(found, parity=Parity((hop,), NAMES)), PALETTE)
    assert "the one pixel that differs, by how far" in text


def test_histogram(found: Verification) -> None:
    svg = ET.fromstring(margin_histogram(found.parity.hops[1]))
    rectangles = {entry.get("class"): entry for entry in svg.iter("rect")}
    assert set(rectangles) == {"tie", "fault"}
    limit = next(entry for entry in svg.iter("line") if entry.get("class") == "limit")
    x = {kind: float(rectangle.get("x", "nan")) for kind, rectangle in rectangles.items()}
    assert x["tie"] < float(limit.get("x1", "nan")) < x["fault"]
    assert [entry.text for entry in svg.iter("text") if entry.get("class") == "count"] == ["10", "50"]


def test_pictures(found: Verification) -> None:
    (bad,) = found.parity.hops[1].worst
    pictures = draw(bad, PALETTE)

    def read(png: bytes) -> np.ndarray:
        return cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]

    np.testing.assert_array_equal(read(pictures.frame), bad.evidence.frame)
    np.testing.assert_array_equal(read(pictures.expected), np.asarray(PALETTE)[bad.expected])
    np.testing.assert_array_equal(read(pictures.deployed), np.asarray(PALETTE)[bad.evidence.class_map])
    differences = read(pictures.differences)
    assert (differences[20, :50] == FAULT_COLOUR).all()
    assert (differences[40, :10] == TIE_COLOUR).all()
    assert differences[0].max() < 128


def test_junit(found: Verification) -> None:
    suite = ET.fromstring(render_junit(found).encode())
    assert suite.attrib == {"name": "fcnrt verify model.onnx", "tests": "2", "failures": "1"}
    sound, broken = suite.findall("testcase")
    assert sound.find("failure") is None
    failure = broken.find("failure")
    assert failure is not None
    assert "of the pixels differ and are no ties (allowed in fp32: 0 %)" in failure.attrib["message"]
    assert failure.text == str(found.diagnosis)
    assert "10 ties, 50 faults" in (broken.findtext("system-out") or "")


@pytest.mark.parametrize(("likes", "darkest", "brightest"), [("light", 230, 255), ("dark", 0, 40)])
def test_the_page_fits_a_phone(found: Verification, on_a_phone, likes: str, darkest: int, brightest: int) -> None:
    rendered = on_a_phone(render_html(found, PALETTE), likes)
    assert rendered.overflow <= 0
    assert darkest <= rendered.brightness <= brightest
