from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from fcnrt.benchmarks.bench.comparison import compare_reports, judge, ratio_of_medians
from fcnrt.benchmarks.bench.report import BenchReport, Member, Series
from fcnrt.benchmarks.environment import Environment
from fcnrt.benchmarks.ratio import Ratio
from fcnrt.runtime.errors import SourceError

SCOPES = ("infer", "end_to_end")
MEMBER = Member(
    name="fcnrt",
    role="fcnrt",
    compared_with=None,
    same_network=False,
    file="m.onnx",
    file_bytes=1,
    precision="fp32",
    backend="onnxruntime",
    device="cpu",
)
ENVIRONMENT = dataclasses.replace(Environment.here(), load_average=0.0)


def times(rng: np.random.Generator, *, slowdown: float, noise: float, count: int, drift: float) -> tuple[float, ...]:
    """Times as a machine gives them: noise, a drift that lasts for several calls, and disturbed calls."""
    wandering = drift * np.cumsum(rng.normal(0, noise / 4, count))
    disturbed = (rng.random(count) < 0.05) * rng.exponential(1, count)
    return tuple(100 * slowdown * rng.normal(1, noise, count) * (1 + wandering) * (1 + disturbed))


def report(
    seed: int, *, slowdown: float = 1.0, noise: float = 0.02, count: int = 60, drift: float = 0.25
) -> BenchReport:
    rng = np.random.default_rng(seed)
    series = tuple(
        Series(
            member="fcnrt",
            scope=scope,
            size=size,
            batch=1,
            # One of four has the planted slowdown: it must not be lost among the others.
            samples_ms=times(
                rng,
                slowdown=slowdown if (scope, size) == ("end_to_end", "512x512") else 1.0,
                noise=noise,
                count=count,
                drift=drift,
            ),
            warm_up_rounds=10,
            settled=True,
        )
        for scope in SCOPES
        for size in ("256x256", "512x512")
    )
    return BenchReport(
        environment=ENVIRONMENT,
        title="t",
        pictures="p",
        class_names=("a", "b"),
        members=(MEMBER,),
        series=series,
        accuracy=(),
        notes=(),
    )


def failures(*, slowdown: float, noise: float, runs: int = 40, count: int = 60) -> int:
    return sum(
        not compare_reports(
            report(2 * seed, noise=noise, count=count),
            report(2 * seed + 1, slowdown=slowdown, noise=noise, count=count),
            limit=0.05,
        ).passed
        for seed in range(runs)
    )


@pytest.mark.parametrize("noise", [0.005, 0.02])
def test_a_planted_slowdown_of_5_percent_fails(noise: float) -> None:
    assert failures(slowdown=1.05, noise=noise) >= 39


@pytest.mark.parametrize("noise", [0.005, 0.02])
def test_equal_runs_pass(noise: float) -> None:
    assert failures(slowdown=1.0, noise=noise) <= 1


def test_what_is_faster_or_only_a_little_slower_passes() -> None:
    assert failures(slowdown=0.9, noise=0.01, runs=20) <= 1
    assert failures(slowdown=1.02, noise=0.005, runs=20) <= 1


def test_a_large_slowdown_fails_in_any_noise() -> None:
    assert failures(slowdown=1.5, noise=0.1, runs=20) == 20


@pytest.mark.parametrize("noise", [0.002, 0.05, 0.2])
def test_the_same_samples_pass_and_5_percent_on_all_of_them_fails_however_noisy(noise: float) -> None:
    old = report(0, noise=noise)
    slower = dataclasses.replace(
        old,
        series=tuple(
            dataclasses.replace(series, samples_ms=tuple(1.05 * value for value in series.samples_ms))
            for series in old.series
        ),
    )
    assert compare_reports(old, old, limit=0.05).passed
    found = compare_reports(old, slower, limit=0.05)
    assert all(change.failed for change in found.changes)


@pytest.mark.parametrize(
    ("low", "value", "high", "outcome"),
    [
        (0.99, 1.00, 1.01, "pass"),
        (1.01, 1.02, 1.03, "pass"),
        (1.03, 1.035, 1.045, "fail"),  # too near to 5 % to exclude it from one run each
        (1.03, 1.05, 1.07, "fail"),
        (1.05, 1.05, 1.05, "fail"),
        (1.04998, 1.04998, 1.04998, "fail"),
        (0.95, 1.01, 1.08, "unclear pass"),
        (0.98, 1.04, 1.10, "unclear fail"),
    ],
)
def test_outcomes(low: float, value: float, high: float, outcome: str) -> None:
    assert judge(Ratio(value, low, high), 0.05) == outcome


def test_the_interval_covers_the_truth_as_often_as_it_says() -> None:
    covered = 0
    for seed in range(150):
        rng = np.random.default_rng(seed)
        old, new = rng.normal(100, 3, 50), rng.normal(104, 3, 40)
        ratio = ratio_of_medians(list(new), list(old), confidence=0.95)
        covered += ratio.low <= 1.04 <= ratio.high
    assert covered >= 135


def test_the_interval_is_wider_for_calls_that_depend_on_each_other() -> None:
    rng = np.random.default_rng(0)
    steps = np.repeat(rng.normal(100, 5, 20), 4)
    shuffled = rng.permutation(steps)
    spread = [
        (ratio := ratio_of_medians(list(samples), [100.0] * 10, confidence=0.95)).high - ratio.low
        for samples in (steps, shuffled)
    ]
    assert spread[0] > 1.2 * spread[1]


def test_what_disappeared_fails_and_what_is_new_does_not() -> None:
    old = report(0)
    fewer = dataclasses.replace(old, series=old.series[1:])
    found = compare_reports(old, fewer, limit=0.05)
    assert not found.passed
    assert found.missing == ("fcnrt infer at 256x256, batch 1",)
    assert compare_reports(fewer, old, limit=0.05).passed


def test_what_noise_hides_is_called_unclear_and_the_rounds_that_tell_are_enough() -> None:
    noise, runs = 0.06, 20
    for slowdown, wrong, right in ((1.0, "fail", "pass"), (1.05, "pass", "fail")):
        pairs = [
            (report(2 * seed, noise=noise), report(2 * seed + 1, slowdown=slowdown, noise=noise))
            for seed in range(runs)
        ]
        last = [compare_reports(*pair, limit=0.05).changes[-1] for pair in pairs]
        assert sum(change.outcome == wrong for change in last) <= 2  # the drift is more than the samples show
        unclear = [change for change in last if change.outcome.startswith("unclear")]
        assert len(unclear) >= 3
        needed = int(np.median([change.rounds_needed for change in unclear]))
        assert 60 < needed < 2000
        longer = (
            report(0, noise=noise, count=needed, drift=0),
            report(1, slowdown=slowdown, noise=noise, count=needed, drift=0),
        )
        assert compare_reports(*longer, limit=0.05).changes[-1].outcome == right


def test_a_few_samples_prove_nothing() -> None:
    """Three of three are slower in one of twenty equal runs."""
    old = report(0)

    def three(times: tuple[float, ...]) -> BenchReport:
        return dataclasses.replace(old, series=(dataclasses.replace(old.series[0], samples_ms=times),))

    found = compare_reports(three((100.0, 101.0, 102.0)), three((103.0, 104.0, 110.0)), limit=0.05)
    assert found.changes[0].ratio.low > 1
    assert found.changes[0].outcome == "unclear fail"
    assert found.changes[0].rounds_needed >= 10


def test_what_is_not_fcnrt_is_not_judged_but_tells_of_the_machine() -> None:
    old = report(0, noise=0.005)
    renamed = tuple(dataclasses.replace(series, member="PyTorch eager") for series in old.series)
    both = dataclasses.replace(
        old,
        members=(*old.members, dataclasses.replace(MEMBER, name="PyTorch eager", role="reference")),
        series=(*old.series, *renamed),
    )
    slower = tuple(
        dataclasses.replace(series, samples_ms=tuple(1.1 * ms for ms in series.samples_ms)) for series in renamed
    )
    found = compare_reports(both, dataclasses.replace(both, series=(*old.series, *slower)), limit=0.05)
    assert found.passed
    assert len(found.judged) == 4
    assert found.notes[0] == (
        "PyTorch eager (infer at 256x256), measured beside it, changed by +10.0 %: the machine is not what it was"
    )
    # A peer that is not installed any more is no slowdown.
    assert compare_reports(both, old, limit=0.05).passed


def test_a_model_is_the_same_whether_it_was_measured_alone_or_among_others() -> None:
    alone = report(0)
    name = "m onnxruntime cpu"
    among = dataclasses.replace(
        report(1),
        members=(dataclasses.replace(MEMBER, name=name), dataclasses.replace(MEMBER, name="other", file="other.onnx")),
        series=tuple(dataclasses.replace(series, member=name) for series in report(1).series),
    )
    for old, new in ((alone, among), (among, alone)):
        found = compare_reports(old, new, limit=0.05)
        assert len(found.judged) == 4
        assert found.missing == ()


def test_nothing_in_common_is_refused() -> None:
    old = report(0)
    with pytest.raises(
        SourceError, match=r"no measurement in common.* m\.onnx \(onnxruntime cpu\) at 256x256, 512x512;"
    ):
        compare_reports(old, dataclasses.replace(old, series=()), limit=0.05)


def test_other_machines_and_versions_are_noted() -> None:
    old = report(0)
    other = dataclasses.replace(
        ENVIRONMENT, cpu="Other CPU", packages={**ENVIRONMENT.packages, "onnxruntime": "9.9"}, load_average=1e3
    )
    notes = compare_reports(old, dataclasses.replace(old, environment=other), limit=0.05).notes
    assert any(note.endswith("before, Other CPU after") for note in notes)
    assert any(note.startswith("onnxruntime: ") and note.endswith("9.9 after") for note in notes)
    assert any("busy before the new run" in note for note in notes)


def test_other_networks_under_the_same_name_are_noted() -> None:
    old = report(0)
    other = dataclasses.replace(old, title="u", members=(dataclasses.replace(MEMBER, precision="int8"),))
    assert compare_reports(old, old, limit=0.05).notes == ()
    assert compare_reports(old, other, limit=0.05).notes == (
        "other networks: t before, u after",
        "fcnrt: fp32 before, int8 after",
    )


def test_times_that_are_none_are_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    report(0).write(path)
    document = json.loads(path.read_text())
    for strange in (0.0, -1.0, float("nan"), float("inf")):
        document["series"][0]["samples_ms"][1] = strange
        path.write_text(json.dumps(document))
        with pytest.raises(SourceError, match="a time that is not positive and finite"):
            BenchReport.read(path)
