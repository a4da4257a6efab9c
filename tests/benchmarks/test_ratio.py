from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from fcnrt.benchmarks.ratio import Ratio, paired_ratio


def simulate(true_ratio: float, seed: int, pairs: int = 60) -> Ratio:
    """Times as a machine gives them: 2 % noise, a slow drift that both sides share, and disturbed calls."""
    rng = np.random.default_rng(seed)
    drift = 100 * (1 + 0.3 * np.sin(np.linspace(0, 6, pairs)))

    def times() -> NDArray[np.float64]:
        disturbed = (rng.random(pairs) < 0.05) * rng.exponential(2, pairs)
        return drift * rng.normal(1, 0.02, pairs) * (1 + disturbed)

    return paired_ratio(list(true_ratio * times()), list(times()))


@pytest.mark.parametrize("true_ratio", [0.5, 1.05, 2.85])
def test_a_planted_ratio_is_recovered(true_ratio: float) -> None:
    ratio = simulate(true_ratio, seed=0)
    assert ratio.value == pytest.approx(true_ratio, rel=0.01)
    assert ratio.low < true_ratio < ratio.high
    assert (ratio.high - ratio.low) / true_ratio < 0.04


def test_the_interval_covers_equal_runs_as_often_as_it_says() -> None:
    covered = [ratio.low <= 1 <= ratio.high for ratio in (simulate(1, seed) for seed in range(100))]
    assert 88 <= sum(covered) <= 100


def test_a_slowdown_of_5_percent_is_told_from_none() -> None:
    assert simulate(1.05, seed=1).low > 1


def test_the_same_samples_give_the_same_interval() -> None:
    assert simulate(2, seed=3) == simulate(2, seed=3)


def test_exact_pairs_have_no_spread() -> None:
    assert paired_ratio([4, 6, 8], [2, 3, 4]) == Ratio(2, 2, 2)


@pytest.mark.parametrize(("numerator", "denominator"), [([], []), ([1.0, 2.0], [1.0])])
def test_samples_that_are_no_pairs_are_refused(numerator: list[float], denominator: list[float]) -> None:
    with pytest.raises(ValueError, match="a paired ratio needs pairs, got"):
        paired_ratio(numerator, denominator)
