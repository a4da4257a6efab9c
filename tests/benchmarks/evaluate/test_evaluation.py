from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fcnrt.benchmarks.evaluate.confusion_plot import plot_confusion
from fcnrt.benchmarks.evaluate.evaluation import Evaluation
from fcnrt.datasets.confusion import ConfusionMatrix
from fcnrt.runtime.errors import OutputError

NAMES = ("sky", "road", "car", "cow")


@pytest.fixture
def evaluation() -> Evaluation:
    """Twelve pixels: 6 sky (1 taken for road), 4 road (2 for car), 2 cow (all for sky); no car, 3 void."""
    confusion = ConfusionMatrix(4)
    confusion.update(
        np.array([0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 3, 3, 255, 255, 255]),
        np.array([0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 0, 0, 0, 1, 2]),
    )
    return Evaluation("net on pictures", NAMES, confusion, 1)


def test_metrics_by_hand(evaluation: Evaluation) -> None:
    iou = np.array([5 / 8, 2 / 5, 0 / 2, 0 / 2])
    assert evaluation.metrics() == pytest.approx(
        {
            "pixel_accuracy": 7 / 12,
            "mean_accuracy": (5 / 6 + 2 / 4 + 0) / 3,
            "mean_iou": iou.mean(),
            "mean_iou_gt_present": iou[[0, 1, 3]].mean(),
            "frequency_weighted_iou": (6 * 5 / 8 + 4 * 2 / 5 + 2 * 0) / 12,
        }
    )


def test_the_table_says_what_is_undefined(evaluation: Evaluation) -> None:
    assert evaluation.table().rows == (
        ("sky", "62.5", "83.3", "50.0"),
        ("road", "40.0", "50.0", "33.3"),
        ("car", "0.0", "", "0.0"),
        ("cow", "0.0", "0.0", "16.7"),
    )


def test_json_has_everything_and_no_nan(evaluation: Evaluation, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    unseen = Evaluation("nothing", ("a", "b"), ConfusionMatrix(2), 0)

    evaluation.write_json(path)
    document = json.loads(path.read_text())
    unseen.write_json(path)
    empty = json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))

    assert document["metrics"]["pixel_accuracy"] == pytest.approx(7 / 12)
    assert document["iou"] == pytest.approx({"sky": 5 / 8, "road": 2 / 5, "car": 0, "cow": 0})
    np.testing.assert_array_equal(document["confusion"], evaluation.confusion.counts)
    assert empty["metrics"]["mean_iou"] is None
    assert empty["iou"] == {"a": None, "b": None}


def test_the_plot_is_a_picture_of_the_matrix(evaluation: Evaluation, tmp_path: Path) -> None:
    plot_confusion(evaluation.confusion, NAMES, tmp_path / "a.png", title="net")
    wrong = ConfusionMatrix(4)
    wrong.counts = evaluation.confusion.counts[:, ::-1].copy()
    plot_confusion(wrong, NAMES, tmp_path / "b.png", title="net")

    picture, other = (np.asarray(Image.open(tmp_path / name).convert("RGB"), float) for name in ("a.png", "b.png"))
    assert picture.std() > 10
    assert np.abs(picture - other).max() > 100
    with pytest.raises(OutputError, match=r"cannot write .*none/a\.png"):
        plot_confusion(wrong, NAMES, tmp_path / "none" / "a.png", title="net")


def test_names_are_drawn_as_they_are(evaluation: Evaluation, tmp_path: Path) -> None:
    names = ("$sky_$", "道", *NAMES[2:])
    plot_confusion(evaluation.confusion, names, tmp_path / "a.png", title="net on cost $5^$ a")
    assert (tmp_path / "a.png").is_file()
