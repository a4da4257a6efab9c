from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fcnrt.benchmarks.bench.report import BenchReport, Member, Series
from fcnrt.benchmarks.bench.run_bench import DEFAULT_SCENES, DEFAULT_SIZE
from fcnrt.benchmarks.environment import Environment
from fcnrt.benchmarks.random_network import random_checkpoint
from fcnrt.cli import bench as command
from fcnrt.export.to_onnx import export_onnx
from fcnrt.fcn_models.checkpoint import load_checkpoint, save_checkpoint
from fcnrt.fcn_models.fcn import FCNConfig

SMALL = ("--size", "24x32", "--scenes", "1", "--rounds", "2", "--device", "cpu")


def test_a_model_is_measured(fcnrt, tiny_model: Path, tmp_path: Path) -> None:
    done = fcnrt(
        "bench", tiny_model, *SMALL, "--batch", 2, "--json", tmp_path / "bench.json", "--html", tmp_path / "bench.html"
    )
    assert done.exit_code == 0, done.err
    assert f"report: {tmp_path / 'bench.json'} · {tmp_path / 'bench.html'}" in done.out
    assert "</html>" in (tmp_path / "bench.html").read_text()
    assert "Speed at 24x32, batch 2: ms per call" in done.out
    assert "fcnrt onnxruntime cpu" in done.out
    assert "✔ nothing was compared with PyTorch: speed alone was measured" in done.out
    assert "note: no PyTorch reference: tiny.onnx was not exported from the bundled weights" in done.err
    report = BenchReport.read(tmp_path / "bench.json")
    assert report.members[0].peak_memory_mib is not None
    assert report.accuracy[0].counts is None  # its classes are not those of the scenes


def test_without_a_model_the_demo_is_measured_against_pytorch(
    fcnrt, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FCNRT_CACHE_DIR", str(tmp_path))
    done = fcnrt("bench", *SMALL)
    assert done.exit_code == 0, done.err
    lines = done.out.splitlines()
    assert lines[0].startswith("fcn8s · bundled demo weights")
    assert [line.split("  ")[1] for line in lines[4:6]] == ["PyTorch eager", "fcnrt onnxruntime cpu"]
    assert lines[-1].startswith("✔ every backend matches PyTorch eager within 0.0")


def test_a_model_that_is_not_the_reference_has_exit_code_1(fcnrt, tmp_path: Path) -> None:
    config = FCNConfig(variant="fcn32s", width=1 / 16, fc_channels=8)
    paths = []
    for seed in (0, 1):
        network = random_checkpoint(config, seed=seed)
        paths.append(tmp_path / f"{seed}.safetensors")
        save_checkpoint(
            network.model,
            paths[-1],
            preprocessing=network.preprocessing,
            class_names=network.class_names,
            palette=network.palette,
            notes={},
            dtype="float32",
        )
    model = export_onnx(load_checkpoint(paths[0]), tmp_path / "model.onnx").path
    done = fcnrt("bench", model, "--reference", paths[1], *SMALL)
    assert done.exit_code == 1
    assert "✘ does not match PyTorch eager: fcnrt onnxruntime cpu: " in done.out
    assert "note: model.onnx was not exported from this 1.safetensors (another SHA-256)" in done.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--size", "512"), "'512' is not a size; write HEIGHTxWIDTH"),
        (("--backend", "abacus"), "'abacus' is not a backend; there are onnxruntime"),
        (("--device", "tpu"), "'tpu' is not a device"),
    ],
)
def test_wrong_usage_has_exit_code_2(fcnrt, tiny_model: Path, arguments: tuple[str, ...], message: str) -> None:
    done = fcnrt("bench", tiny_model, *arguments)
    assert done.exit_code == 2
    assert message in " ".join(done.err.replace("│", " ").split())


def test_bad_input_is_one_line(fcnrt, tiny_model: Path, tmp_path: Path) -> None:
    for arguments, message in (
        ((tmp_path / "missing.onnx",), "missing.onnx"),
        ((tiny_model, "--json", tmp_path / "nowhere" / "bench.json"), "there is no folder"),
        ((tiny_model, "--html", tmp_path), "it is a folder"),
        ((tiny_model, "--peers"), "peers run the network as it was before export"),
    ):
        done = fcnrt("bench", *arguments, *SMALL)
        assert done.exit_code == 1
        assert done.err.startswith("error: ")
        assert done.err.count("\n") == 1
        assert message in done.err


def test_defaults_in_the_help_are_those_of_the_measuring() -> None:
    assert str(DEFAULT_SIZE) == command._DEFAULT_SIZE
    assert command._DEFAULT_SCENES == DEFAULT_SCENES


def test_two_results_are_compared(fcnrt, tiny_model: Path, tmp_path: Path) -> None:
    old, slower = tmp_path / "old.json", tmp_path / "slower.json"
    assert fcnrt("bench", tiny_model, *SMALL, "--json", old).exit_code == 0
    report = BenchReport.read(old)
    series = (replace(found, samples_ms=tuple(1.05 * ms for ms in found.samples_ms)) for found in report.series)
    replace(report, series=tuple(series)).write(slower)

    equal = fcnrt("bench", "compare", old, old)
    assert equal.exit_code == 0
    assert "✔ nothing is" in equal.out

    planted = fcnrt("bench", "compare", old, slower, "--fail-on", "5%")
    assert planted.exit_code == 1
    assert "✘ slower by 5 % or nearly so: 3 of 3, worst fcnrt onnxruntime cpu" in planted.out
    assert "+5.0 %" in planted.out


@pytest.mark.parametrize(
    ("times", "cure"), [((100.0, 104.0) * 10, "with --rounds "), ((100.0, 300.0) * 10, "on a quieter machine")]
)
def test_noise_is_said_to_be_inconclusive(fcnrt, tmp_path: Path, times: tuple[float, ...], cure: str) -> None:
    path = tmp_path / "noisy.json"
    series = Series(
        member="fcnrt", scope="infer", size="8x8", batch=1, samples_ms=times, warm_up_rounds=1, settled=False
    )
    member = Member(
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
    BenchReport(
        environment=Environment.here(),
        title="",
        pictures="",
        class_names=("a", "b"),
        members=(member,),
        series=(series,),
        accuracy=(),
        notes=(),
    ).write(path)
    done = fcnrt("bench", "compare", path, path)
    assert done.exit_code == 0
    assert f"✔ nothing is seen to be slower by 5 %; inconclusive for 1 marked ?: measure both {cure}" in done.out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be read (No such file or directory); write one with: fcnrt bench --json FILE"),
        ("{", "not JSON"),
        ("[]", "not a report of fcnrt bench"),
        ('{"kind": "fcnrt bench", "format": 9}', "a report of format 9; this fcnrt reads 2"),
        ('{"kind": "fcnrt bench", "format": 2, "series": []}', "a damaged report"),
    ],
)
def test_what_is_no_result_is_one_line(fcnrt, tmp_path: Path, text: str | None, message: str) -> None:
    path = tmp_path / "a.json"
    if text is not None:
        path.write_text(text)
    done = fcnrt("bench", "compare", path, path)
    assert done.exit_code == 1
    assert done.err.startswith(f"error: {path}: ")
    assert message in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize("share", ["5", "0%", "five", "101%"])
def test_a_limit_is_a_share(fcnrt, tmp_path: Path, share: str) -> None:
    done = fcnrt("bench", "compare", tmp_path, tmp_path, "--fail-on", share)
    assert done.exit_code == 2
    assert "is not a share" in done.err
