from __future__ import annotations

import math

import numpy as np
import pytest

from fcnrt.datasets.confusion import ConfusionMatrix


def matrix(truth: list[int], prediction: list[int], num_classes: int) -> ConfusionMatrix:
    confusion = ConfusionMatrix(num_classes)
    confusion.update(np.array(truth, np.uint8), np.array(prediction, np.uint8))
    return confusion


def test_metrics_worked_out_by_hand() -> None:
    confusion = matrix([0, 0, 0, 0, 1, 1, 2, 2], [0, 0, 0, 1, 1, 1, 2, 0], 3)
    np.testing.assert_allclose(confusion.iou(), [3 / 5, 2 / 3, 1 / 2])
    assert confusion.mean_iou() == pytest.approx((3 / 5 + 2 / 3 + 1 / 2) / 3)
    assert confusion.pixel_accuracy() == pytest.approx(6 / 8)
    assert confusion.mean_accuracy() == pytest.approx((3 / 4 + 1 + 1 / 2) / 3)
    assert confusion.frequency_weighted_iou() == pytest.approx(0.5 * 3 / 5 + 0.25 * 2 / 3 + 0.25 * 1 / 2)


def test_void_is_not_counted() -> None:
    with_void = matrix([0] * 80 + [255] * 10 + [1] * 10, [0] * 80 + [1] * 20, 2)
    assert with_void.mean_iou() == 1.0
    void_as_background = matrix([0] * 90 + [1] * 10, [0] * 80 + [1] * 20, 2)
    assert void_as_background.mean_iou() == pytest.approx((80 / 90 + 10 / 20) / 2)


def test_absent_classes_by_policy() -> None:
    confusion = matrix([0, 0, 1, 1], [0, 0, 1, 2], 4)  # 2 is predicted only, 3 is nowhere
    assert confusion.mean_iou("present") == pytest.approx((1 + 0.5 + 0) / 3)
    assert confusion.mean_iou("gt_present") == pytest.approx((1 + 0.5) / 2)
    assert confusion.mean_iou("all") == pytest.approx((1 + 0.5 + 0 + 0) / 4)
    assert math.isnan(confusion.iou()[3])


def test_one_matrix_over_everything_is_not_the_mean_of_parts() -> None:
    whole = ConfusionMatrix(2)
    whole.update(np.array([0, 0, 0, 1], np.uint8), np.array([0, 0, 0, 1], np.uint8))
    whole.update(np.array([0, 1, 1, 1], np.uint8), np.array([1, 1, 1, 1], np.uint8))
    assert whole.mean_iou() == pytest.approx((3 / 4 + 4 / 5) / 2)


def test_a_pixel_more_counts_beyond_what_float32_tells_apart() -> None:
    confusion = matrix([0], [0], 2)
    confusion.counts[0, 0] = 2**24  # 80 pictures of VOC's size; there float32 has the same number for one more
    confusion += matrix([0], [0], 2)
    confusion.update(np.array([0, 1], np.uint8), np.array([0, 1], np.uint8))
    assert confusion.counts.tolist() == [[2**24 + 2, 0], [0, 1]]


def test_nothing_counted_is_nan() -> None:
    assert math.isnan(ConfusionMatrix(3).mean_iou())
    assert math.isnan(ConfusionMatrix(3).pixel_accuracy())


def test_wrong_input_is_refused() -> None:
    with pytest.raises(ValueError, match="must have the same shape"):
        matrix([0, 1], [0], 2)
    with pytest.raises(ValueError, match="prediction holds label 2; the 2 classes are 0 to 1"):
        matrix([0, 1], [0, 2], 2)
    with pytest.raises(ValueError, match="target holds label 7; the 2 classes are 0 to 1"):
        matrix([0, 7], [0, 1], 2)
    with pytest.raises(ValueError, match="target holds label -1"):
        ConfusionMatrix(2).update(np.array([-1]), np.array([0]))
    with pytest.raises(ValueError, match="cannot add a matrix of 3 classes ignoring 255 to one of 2 ignoring 255"):
        ConfusionMatrix(2) + ConfusionMatrix(3)


def test_what_is_predicted_on_void_does_not_matter() -> None:
    assert matrix([0, 255, 1], [0, 200, 1], 2).mean_iou() == 1.0
    ignoring_minus_one = ConfusionMatrix(2, ignore_index=-1)
    ignoring_minus_one.update(np.array([0, -1, 1]), np.array([0, 1, 1]))
    assert ignoring_minus_one.counts.tolist() == [[1, 0], [0, 1]]


def test_parts_add_up() -> None:
    total = matrix([0, 0, 1], [0, 1, 1], 2) + matrix([1, 1], [0, 1], 2)
    assert total.counts.tolist() == [[1, 1], [1, 2]]


@pytest.mark.parametrize("role", ["target", "prediction"])
def test_what_holds_no_integers_is_refused(role: str) -> None:
    """Scores handed over for classes would be cut to integers, and counted."""
    arrays = {"target": np.zeros(2, np.uint8), "prediction": np.zeros(2, np.uint8), role: np.array([0.2, 0.9])}
    confusion = ConfusionMatrix(2)
    with pytest.raises(ValueError, match=f"{role} is float64; classes are integers"):
        confusion.update(**arrays)
    assert confusion.counts.sum() == 0


def test_an_unknown_policy_is_refused() -> None:
    with pytest.raises(ValueError, match="absent must be present, gt_present, all, got 'gt'"):
        matrix([0], [0], 2).mean_iou("gt")  # type: ignore[arg-type]
