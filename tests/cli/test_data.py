from __future__ import annotations

from pathlib import Path

import av
import pytest
from typer.testing import CliRunner

from fcnrt.cli.app import app, main
from fcnrt.datasets.voc import VocSegmentation

runner = CliRunner()


def test_synth_writes_a_data_set_and_says_so(tmp_path: Path) -> None:
    result = runner.invoke(
        app, ["data", "synth", str(tmp_path / "set"), "--count", "5", "--seed", "2", "--size", "24x32"]
    )
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{tmp_path / 'set'}: 5 scenes of 24x32, splits train, val, trainval\n"
    assert result.stderr == ""  # no bar: it is not a terminal
    data = VocSegmentation(tmp_path / "set", "trainval")
    assert data[4].name == "synthetic_2_000004"
    assert data[4].label.shape == (24, 32)
    assert not (tmp_path / "set" / "clip.mp4").exists()


def test_video_films_a_scene_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fcnrt.cli.data._CLIP_SIZE", "36x64")  # the length is real, the size is not: it takes time
    result = runner.invoke(app, ["data", "synth", str(tmp_path), "--count", "2", "--size", "8x8", "--video"])
    assert result.exit_code == 0, result.output
    assert "clip.mp4: 8 s, 36x64, 30 fps" in result.stdout
    with av.open(str(tmp_path / "clip.mp4")) as container:
        assert container.streams.video[0].frames == 240


@pytest.mark.parametrize(
    "arguments",
    [
        ["--size", "12"],
        ["--size", "0x4"],
        ["--size", "8193x4"],
        ["--size", "4x70000"],
        ["--count", "1"],
        ["--seed", "-1"],
    ],
)
def test_wrong_usage_writes_nothing(tmp_path: Path, arguments: list[str]) -> None:
    result = runner.invoke(app, ["data", "synth", str(tmp_path / "set"), *arguments])
    assert result.exit_code == 2
    assert arguments[0] in result.stderr
    assert not (tmp_path / "set").exists()


def test_a_folder_with_other_things_is_one_line_and_exit_code_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    monkeypatch.setattr("sys.argv", ["fcnrt", "data", "synth", str(tmp_path)])
    with pytest.raises(SystemExit) as exit_info:
        main()
    assert exit_info.value.code == 1
    assert capsys.readouterr().err == (
        f"error: {tmp_path} is not empty and holds no earlier synthetic set (no synthetic.json); give another folder, "
        "or empty it\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_help_explains_the_command() -> None:
    result = runner.invoke(app, ["data", "synth", "--help"])
    assert result.exit_code == 0
    assert "labelled scenes" in result.stdout
