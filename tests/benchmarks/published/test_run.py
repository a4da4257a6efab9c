from __future__ import annotations

import itertools
import sys
from pathlib import Path

import pytest

from fcnrt.benchmarks.environment import Environment
from fcnrt.benchmarks.published.engine_memory import SHAPES
from fcnrt.benchmarks.published.latency import Network
from fcnrt.benchmarks.published.overhead import measure_overhead
from fcnrt.benchmarks.published.run import main, measure
from fcnrt.benchmarks.published.suite import BENCHMARKS, Setup
from fcnrt.benchmarks.published.table import render
from fcnrt.benchmarks.published.video import measure_video
from fcnrt.benchmarks.report import Report
from fcnrt.benchmarks.timing import WarmUp
from fcnrt.runtime.errors import InferenceError
from fcnrt.runtime.spec import ImageSize

# Stands for `fcnrt`: the short film takes a moment, the long one a longer one; an export is a file.
PROGRAM = (
    *(sys.executable, "-c"),
    "import sys, time; time.sleep(0.3 if sys.argv[2:3] and 'long' in sys.argv[2] else 0)\n"
    "if sys.argv[1] == 'export': open(sys.argv[-1], 'wb').write(b'model')",
)


@pytest.fixture
def setup(tiny_network: Network, tiny_files) -> Setup:
    return Setup(
        demo=lambda folder: tiny_network,
        demo_int8=lambda folder: tiny_network,
        full_width=lambda folder: tiny_network,
        full_width_checkpoint=lambda folder: tiny_files.checkpoint,
        engine_models=lambda: [tiny_network.onnx_path],
        size=ImageSize(48, 64),
        other_size=ImageSize(32, 80),
        film_frames=2,
        compiled=False,
        warm_up=WarmUp(window=1, max_rounds=2),
        program=PROGRAM,
        first_class_map=(sys.executable, "-c", "print('class map')"),
    ).repeated(2)


@pytest.mark.usefixtures("tensorrt_rtx")
def test_every_benchmark_runs_and_its_report_can_be_written_read_and_shown(setup: Setup, tmp_path: Path) -> None:
    lines: list[str] = []
    names = [name for name in BENCHMARKS if name != "embedding"]  # compiles C++, and has a test of its own
    report = measure(names, setup, progress=lines.append)
    report.write(tmp_path / "cpu.json")
    report = Report.read(tmp_path / "cpu.json")
    assert [row.name for row in report.rows] == [
        "help",
        "first-class-map",
        "installed-size",
        "self-test",
        "engine-memory",
        "bench-overhead",
        "demo-48x64",
        "demo-32x80",
        "demo-int8-48x64",
        "video-rate",
        "video-memory",
        "full-width-self-test",
        "full-width-opening",
        "full-width-opening-memory",
        "full-width-48x64",
        "full-width-int8-48x64",
        "export-memory",
        "padded-self-test",
    ]
    for row in report.rows:
        assert row.scope
        assert row.outcomes
        count = {"installed-size": 1, "engine-memory": len(SHAPES)}.get(row.name, 2)
        assert all(len(samples) == count and min(samples) > 0 for samples in row.samples.values())
        assert row.title in render(report)
    targets = {row.name: [outcome.at_least or outcome.at_most for outcome in row.outcomes] for row in report.rows}
    assert targets == {
        "help": [0.2],
        "first-class-map": [0.6],
        "installed-size": [200.0, None],
        "self-test": [1.0],
        "engine-memory": [None, None],
        "bench-overhead": [1.0],
        "demo-48x64": [1.5, 2.7],
        "demo-32x80": [None, None],
        "demo-int8-48x64": [2.0, 4.0, None],
        "video-rate": [0.95],
        "video-memory": [1.05],
        "full-width-48x64": [1.0],
        "full-width-int8-48x64": [2.0 if Environment.here().multiplies_int8 else 1.5],
        "full-width-opening": [None],
        "full-width-opening-memory": [None],
        "full-width-self-test": [1.0],
        "export-memory": [3.0, None, None, 2.0],
        "padded-self-test": [1.0],
    }
    assert "help ..." in lines


def test_only_what_is_named_runs(setup: Setup) -> None:
    assert [row.name for row in measure(["help"], setup).rows] == ["help"]


def test_measuring_that_takes_as_long_as_the_network_misses_its_target(tiny_network: Network) -> None:
    readings = itertools.count(step=1_000_000)
    row = measure_overhead(
        tiny_network.onnx_path,
        ImageSize(32, 32),
        rounds=3,
        warm_up=WarmUp(max_rounds=0),
        clock=lambda: next(readings),
    )
    assert row.samples == {"nothing": (1.0,) * 3, "network": (1.0,) * 3}
    assert (row.outcomes[0].value, row.outcomes[0].met) == (100, False)


def test_a_program_that_takes_no_time_for_frames_is_no_result(tiny_network: Network, tmp_path: Path) -> None:
    swapped = (sys.executable, "-c", "import sys, time; time.sleep(0.3 if 'short' in sys.argv[2] else 0)")
    with pytest.raises(InferenceError, match=r"for 8 frames and .* for 2 frames; take a longer film"):
        measure_video(tiny_network.onnx_path, tmp_path, frames=2, size=ImageSize(48, 64), pairs=1, program=swapped)


def test_a_place_that_cannot_be_written_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"error: cannot write .* there is no folder"):
        main(["--output", str(tmp_path / "nowhere" / "cpu.json")])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "nothing"], "invalid choice: 'nothing'"),
        (["--repeats", "0"], "must be at least 1, got 0"),
    ],
)
def test_wrong_usage_has_exit_code_2(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err
