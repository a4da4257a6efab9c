from __future__ import annotations

import numpy as np
import torch

from fcnrt.export.decision import decide, per_class
from fcnrt.export.ties import LOGIT_RTOL, flip_margins, tie_gap


def test_a_single_logit_is_the_foreground_above_zero_only() -> None:
    values = np.array([[[[-np.inf, -2, -1e-30, -0.0, 0.0, 1e-30, 2, np.inf, np.nan]]]], np.float32)
    expected = [[[0, 0, 0, 0, 0, 1, 1, 1, 0]]]
    assert decide(values).astype(np.uint8).tolist() == expected
    assert decide(torch.from_numpy(values)).to(torch.uint8).tolist() == expected
    assert per_class(values).argmax(1).tolist() == expected
    assert torch.from_numpy(per_class(values)).argmax(1).tolist() == expected


def test_of_several_logits_the_highest_decides_and_the_first_of_equal_ones() -> None:
    logits = np.array([[[[1, 5, 2]], [[1, 4, 3]]]], np.float32)  # (1, 2, 1, 3)
    assert decide(logits).tolist() == decide(torch.from_numpy(logits)).tolist() == [[[0, 0, 1]]]
    assert per_class(logits) is logits


def test_a_single_logit_as_logits_of_both_classes() -> None:
    z = np.random.default_rng(0).normal(size=(2, 1, 5, 7)).astype(np.float32)
    both = per_class(z)
    assert (both.shape, both.dtype) == ((2, 2, 5, 7), np.float32)
    softmax = torch.from_numpy(both).softmax(1)[:, 1]
    torch.testing.assert_close(softmax, torch.from_numpy(z[:, 0]).sigmoid())
    # What the other class would have to gain is the distance from zero, to the bit, and rounding moves one number only.
    wrong = 1 - decide(z).astype(np.uint8)
    np.testing.assert_array_equal(flip_margins(both, wrong), np.abs(z[:, 0]))
    assert tie_gap(both, "fp16") == np.float32(LOGIT_RTOL["fp16"] * float(np.abs(z).max()))
    np.testing.assert_array_equal(per_class(z[0]), both[0])
