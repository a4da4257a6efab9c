from __future__ import annotations

import numpy as np
import pytest

from fcnrt.benchmarks.verify.boundary import BAND_PIXELS, boundary_band
from fcnrt.benchmarks.verify.flip_margins import BIN_EDGES, count_margins, tie_limit
from fcnrt.benchmarks.verify.hop import Evidence, Hop, HopTally
from fcnrt.export.ties import LOGIT_RTOL, flip_margins

NAMES = ("ground", "cat", "dog")


def striped_logits(height: int = 100, width: int = 100) -> np.ndarray:
    """Class 1 in rows 10 to 19 by a margin of 3, elsewhere class 0 by a margin of 1."""
    logits = np.zeros((3, height, width), np.float32)
    logits[0] = 1
    logits[1, 10:20] = 4
    return logits


def compare(class_map: np.ndarray, logits: np.ndarray, precision: str = "fp32", **options: object) -> Hop:
    tally = HopTally("PyTorch -> engine", precision, NAMES)  # type: ignore[arg-type]
    frame = np.zeros((*logits.shape[1:], 3), np.uint8)
    given = {"label": None, "half_logits": None} | options
    tally.add(Evidence("a", frame, class_map), logits, **given)  # type: ignore[arg-type]
    return tally.finish()


def test_equal_maps_pass() -> None:
    logits = striped_logits()
    hop = compare(logits.argmax(0).astype(np.uint8), logits)
    assert hop.objections == []
    assert (hop.equal_share, hop.ties, hop.faults, hop.pixels) == (1.0, 0, 0, 10_000)
    assert hop.worst == hop.evidence == ()


def test_ties_and_faults_are_told_apart() -> None:
    logits = striped_logits()
    logits[2, 50, :30] = 1 - 1e-4  # the largest logit is 4, so this is below the limit
    class_map = logits.argmax(0).astype(np.uint8)
    class_map[50, :30] = 2
    class_map[10, :7] = 0
    hop = compare(class_map, logits)
    assert (hop.ties, hop.faults) == (30, 7)
    assert hop.class_faults.tolist() == [0, 7, 0]
    assert hop.tie_margins.sum() == 30
    assert hop.fault_margins.sum() == 7
    assert hop.objections == ["0.07 % of the pixels differ and are no ties (allowed in fp32: 0 %)"]
    assert hop.worst[0].faults.sum() == 7
    assert hop.evidence[0].class_map is class_map


def test_a_rare_class_cannot_be_lost_among_the_others() -> None:
    logits = np.zeros((3, 1000, 1000), np.float32)
    logits[0] = 1
    logits[2, 0, :200] = 3
    class_map = logits.argmax(0).astype(np.uint8)
    class_map[0, :90] = 0  # 0.009 % of all pixels, but nearly half the dogs
    hop = compare(class_map, logits, "fp16")
    assert hop.objections == ["45 % of the class dog differ and are no ties (allowed in fp16: 1 %)"]


def test_loss_of_accuracy() -> None:
    logits = striped_logits()
    logits[1, 30:40, :50] = 1 - 1e-5
    label = np.where(np.arange(100)[:, None] < 30, logits.argmax(0), 0).astype(np.uint8)
    class_map = logits.argmax(0).astype(np.uint8)
    class_map[30:40, :50] = 1  # all of it ties, and yet
    hop = compare(class_map, logits, label=label)
    assert hop.miou_difference is not None
    assert hop.miou_difference < -0.1
    (objection,) = hop.objections
    assert objection.endswith("points lower than PyTorch's (allowed in fp32: 0.05)")
    assert compare(logits.argmax(0).astype(np.uint8), logits, label=label).miou_difference == 0


def test_accuracy_is_compared_on_the_frames_that_were_returned() -> None:
    logits = striped_logits()
    right = logits.argmax(0).astype(np.uint8)
    tally = HopTally("PyTorch -> engine", "fp32", NAMES)
    frame = np.zeros((100, 100, 3), np.uint8)
    # Where PyTorch is good the stage fails, where it is bad the stage is equal.
    for class_map, label in ((np.full_like(right, 7), right), (right, (right + 1) % 3)):
        tally.add(Evidence("a", frame, class_map), logits, label=label.astype(np.uint8), half_logits=None)
    hop = tally.finish()
    assert hop.miou_difference == 0
    assert len(hop.objections) == 1  # that it failed


@pytest.mark.parametrize(
    ("class_map", "message"),
    [
        (np.zeros((4, 5), np.uint8), r"fails on a: returns uint8 (4, 5), the frame's class map is uint8 (100, 100)"),
        (np.zeros((100, 100), np.int64), "fails on a: returns int64 (100, 100), the frame's class map is uint8"),
        (np.full((100, 100), 7, np.uint8), "fails on a: returns class 7; there are 3 classes"),
    ],
)
def test_malformed_maps(class_map: np.ndarray, message: str) -> None:
    hop = compare(class_map, striped_logits())
    assert hop.objections[0].startswith(message)
    assert hop.pixels == 0
    assert len(hop.evidence) == 1


def test_band_apart_from_interior() -> None:
    logits = striped_logits()
    class_map = logits.argmax(0).astype(np.uint8)
    class_map[9] = 1
    class_map[70, :50] = 2
    hop = compare(class_map, logits)
    assert hop.band == (4 * BAND_PIXELS * 100, 100)  # two borders, both sides
    assert hop.interior == (10_000 - 4 * BAND_PIXELS * 100, 50)
    assert not boundary_band(np.zeros((5, 5), np.uint8)).any()


def test_worst_frames_come_first() -> None:
    logits = striped_logits()
    tally = HopTally("PyTorch -> engine", "fp32", NAMES)
    for index in range(8):
        class_map = logits.argmax(0).astype(np.uint8)
        class_map[50, : 10 * ((index * 3) % 8)] = 1
        tally.add(
            Evidence(str(index), np.zeros((100, 100, 3), np.uint8), class_map), logits, label=None, half_logits=None
        )
    hop = tally.finish()
    assert [int(bad.faults.sum()) for bad in hop.worst] == [70, 60, 50, 40]
    assert len(hop.evidence) == 7


def test_tie_limit_follows_what_half_precision_does_to_the_network() -> None:
    logits = striped_logits()
    assert tie_limit(logits, "fp32", logits + 1) == pytest.approx(2 * LOGIT_RTOL["fp32"] * 4)
    general = 2 * LOGIT_RTOL["fp16"] * 4
    assert tie_limit(logits, "fp16") == pytest.approx(general)
    assert tie_limit(logits, "fp16", logits + np.float32(0.001)) == pytest.approx(0.004, rel=1e-3)
    assert tie_limit(logits, "fp16", logits + 1) == pytest.approx(general)
    assert tie_limit(logits, "fp16", logits + np.inf) == pytest.approx(general)


def test_margins() -> None:
    logits = striped_logits(20, 1)
    class_map = np.full((20, 1), 2, np.uint8)
    assert flip_margins(logits, class_map)[:, 0].tolist() == [1] * 10 + [4] * 10
    counts = count_margins(np.array([0.0, 1e-9, 2e-6, 0.5, 1e3]))
    assert counts.sum() == 5
    assert counts[0] == 3
    assert counts[-1] == 1
    assert len(counts) == len(BIN_EDGES) - 1
