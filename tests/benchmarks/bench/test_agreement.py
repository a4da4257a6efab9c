from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from fcnrt.benchmarks.bench.agreement import verdict
from fcnrt.benchmarks.bench.page import to_html
from fcnrt.benchmarks.bench.report import Accuracy, BenchReport, Member, Series
from fcnrt.benchmarks.bench.tables import tables
from fcnrt.benchmarks.environment import Environment

RIGHT = ((9000, 1000, 0), (1000, 9000, 0), (0, 0, 0))  # two classes of IoU 9/11, and one that never occurs


def member(name: str, **changes: object) -> Member:
    described = Member(
        name=name,
        role="fcnrt",
        compared_with="PyTorch",
        same_network=True,
        file="m.onnx",
        file_bytes=4_300_000,
        precision="fp32",
        backend="onnxruntime",
        device="cpu",
    )
    return dataclasses.replace(described, **changes)


def series(name: str, milliseconds: float) -> tuple[Series, ...]:
    return tuple(
        Series(
            member=name,
            scope=scope,
            size="512x512",
            batch=1,
            samples_ms=tuple(milliseconds * np.linspace(1, 1.1, 9)),
            warm_up_rounds=5,
            settled=True,
        )
        for scope in ("infer", "end_to_end", "pipeline")
    )


def report(accuracy: Accuracy, **changes: object) -> BenchReport:
    reference = member("PyTorch", role="reference", compared_with=None, same_network=False)
    return BenchReport(
        environment=Environment.here(),
        title="fcn8s · <demo>",
        pictures="3 pictures",
        class_names=("background", "cat & dog", "bus"),
        members=(reference, member("ort", **changes)),
        series=(*series("PyTorch", 300.0), *series("ort", 100.0)),
        accuracy=(Accuracy(member="PyTorch", counts=RIGHT, pixels=0, differing=0, faults=None), accuracy),
        notes=("a <note>",),
    )


def accuracy(**changes: object) -> Accuracy:
    equal = Accuracy(member="ort", counts=RIGHT, pixels=1_000_000, differing=0, faults=0)
    return dataclasses.replace(equal, **changes)


def test_an_equal_backend_matches() -> None:
    assert verdict(report(accuracy())) == (True, "every backend matches PyTorch within 0.00 points of mIoU")
    assert verdict(report(accuracy(differing=9)))[0]  # ties


WORSE = ((9000, 1000, 0), (1200, 8800, 0), (0, 0, 0))


@pytest.mark.parametrize(
    ("changes", "precision", "message"),
    [
        ({"differing": 11}, "fp32", "0.0011 % of the pixels have another class"),
        ({"differing": 1, "faults": 1}, "fp32", "1 of 1,000,000 pixels differ without being ties"),
        ({"counts": WORSE}, "fp32", "mIoU -1.64 points, cat & dog -1.82 points"),
        ({"counts": WORSE}, "fp16", "mIoU -1.64 points, cat & dog -1.82 points"),
        ({"differing": 3000}, "fp16", "0.3 % of the pixels have another class"),
    ],
)
def test_what_is_out_of_tolerance_is_named(changes: dict[str, object], precision: str, message: str) -> None:
    matches, sentence = verdict(report(accuracy(**changes), precision=precision))
    assert not matches
    assert sentence == f"does not match PyTorch: ort: {message}"


def test_half_precision_may_move_boundaries() -> None:
    found = accuracy(differing=1500, counts=((9000, 1000, 0), (1010, 8990, 0), (0, 0, 0)))
    matches, sentence = verdict(report(found, precision="fp16"))
    assert matches
    assert sentence == "every backend matches PyTorch within 0.08 points of mIoU (worst class: cat & dog -0.09)"


def test_without_ground_truth_class_maps_decide() -> None:
    without = report(accuracy(counts=None))
    assert verdict(without) == (True, "every backend matches PyTorch: class maps are equal but for ties")
    assert not verdict(report(accuracy(counts=None, differing=2, faults=2)))[0]


def test_peers_and_other_networks_are_not_judged() -> None:
    wrong = accuracy(differing=500_000, faults=500_000)
    assert verdict(report(wrong, role="peer"))[0]
    assert verdict(report(wrong, same_network=False))[0]


def test_another_network_beside_a_matching_one_is_said_to_be_unjudged() -> None:
    found = report(accuracy())
    other = member("m32 onnxruntime cpu", role="fcnrt", compared_with="PyTorch", same_network=False)
    beside = dataclasses.replace(
        found,
        members=(*found.members, other),
        accuracy=(*found.accuracy, accuracy(member=other.name, differing=500_000, faults=500_000)),
    )
    assert verdict(beside) == (
        True,
        "every backend matches PyTorch within 0.00 points of mIoU; not judged, because exported from other weights: "
        "m32 onnxruntime cpu",
    )


def test_tables_say_how_much_faster_and_how_equal() -> None:
    speed, found = tables(report(accuracy(differing=1)))
    assert speed.rows[1][-1] == "3.00 (3.00 .. 3.00)"
    assert speed.rows[1][1:8] == ("105", "105", "109", "110", "110", "110", "9.52")
    assert found.rows[1] == ("ort", "81.82", "+0.00", "", "99.9999 %", "", "", "4.3")


def test_a_narrow_terminal_does_without_the_least_columns() -> None:
    speed, _ = tables(report(accuracy()))
    assert speed.fitting(200, gap=3) == speed
    narrow = speed.fitting(90, gap=3)
    assert narrow.header == ("", "infer", "end to end", "p99", "max", "frames/s", "files/s", "x PyTorch (95 %)")
    assert [len(row) for row in narrow.rows] == [8, 8]
    assert narrow.rows[1][3] == speed.rows[1][5]
    assert speed.fitting(1, gap=3).header == ("", "end to end", "p99", "frames/s", "x PyTorch (95 %)")


def test_the_page_stands_alone_and_shows_everything() -> None:
    page = to_html(report(accuracy(counts=WORSE)))
    for outside in ("http", "<script", "<link", "@import", "url(", "<img"):
        assert outside not in page
    assert "prefers-color-scheme: dark" in page
    assert 'name="viewport"' in page
    assert page.count("<svg") == page.count("</svg>") == 3  # times, throughput, classes
    assert "does not match PyTorch" in page
    assert "class=failed" in page
    assert "fcn8s · &lt;demo&gt;" in page
    assert "a &lt;note&gt;" in page
    assert "cat &amp; dog" in page
    assert page.count("<circle") == 2 * 9 + 2 + 2  # samples, sizes, classes of the second member
    assert "<td>105</td>" in page
    assert "nan" not in page


@pytest.mark.parametrize(("likes", "darkest", "brightest"), [("light", 230, 255), ("dark", 0, 40)])
def test_the_page_fits_a_phone(on_a_phone, likes: str, darkest: int, brightest: int) -> None:
    rendered = on_a_phone(to_html(report(accuracy(counts=WORSE))), likes)
    assert rendered.overflow <= 0
    assert darkest <= rendered.brightness <= brightest


def test_a_page_without_ground_truth_has_no_classes() -> None:
    found = report(accuracy(counts=None))
    none = dataclasses.replace(found.accuracy[0], counts=None)
    page = to_html(dataclasses.replace(found, accuracy=(none, found.accuracy[1])))
    assert page.count("<svg") == 2
    assert "of each class" not in page
