from __future__ import annotations

from pathlib import Path
from typing import get_args

import cv2
import numpy as np
import pytest

from fcnrt.cli import build as command
from fcnrt.runtime.engines.manifest import read_manifest
from fcnrt.runtime.engines.tensorrt_library import Target


def test_options_match_the_library() -> None:
    assert get_args(command.TargetName) == get_args(Target)


def test_builds_and_reports(fcnrt, tensorrt_rtx, tiny_model: Path, tmp_path: Path) -> None:
    engine = tmp_path / "tiny.engine"
    sizes = ("--profile", "32x32,64x64,96x96", "--profile", "64x64,128x128,256x256", "--max-batch", 2)
    code, out, err = fcnrt("build", tiny_model, "-o", engine, "--target", "rtx", *sizes)
    assert (code, out) == (0, f"{engine}\n")
    first, second, proof, written = err.splitlines()
    assert first.startswith(
        f"  engine    TensorRT-RTX {tensorrt_rtx.__version__} · any RTX GPU · 32x32 / 64x64 / 96x96"
    )
    assert "max batch 2 · about" in second
    assert proof == "  proof     convolution layers: 1 in fp32 (by the network's types)"
    assert written.endswith("its manifest tiny.engine.json")
    assert [profile.max_batch for profile in read_manifest(engine).profiles] == [2, 2]


def test_profiles_from_pictures(fcnrt, tensorrt_rtx, tiny_model: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, shape in (("a", (40, 60, 3)), ("b", (48, 64, 3)), ("c", (64, 48, 3))):
        cv2.imwrite(str(folder / f"{name}.png"), np.zeros(shape, np.uint8))
    code, _, err = fcnrt("build", tiny_model, "-o", tmp_path / "x.engine", "--target", "rtx", "--profile-from", folder)
    assert code == 0
    assert f"  sizes     of {folder}: 40x60,48x64,48x64 and 64x48,64x48,64x48\n" in err


def test_profiles_from_a_video(fcnrt, tensorrt_rtx, tiny_model: Path, tmp_path: Path, make_video) -> None:
    video = make_video(tmp_path / "clip.mp4")
    code, _, err = fcnrt("build", tiny_model, "-o", tmp_path / "x.engine", "--target", "rtx", "--profile-from", video)
    assert code == 0
    assert f"  sizes     of {video}: 48x64,48x64,48x64\n" in err


def test_a_failed_build_is_one_line(fcnrt, tensorrt_rtx, tiny_model: Path, tmp_path: Path) -> None:
    options = ("--target", "rtx", "--compute-capability", "9.0")
    code, out, err = fcnrt("build", tiny_model, "-o", tmp_path / "x.engine", *options)
    assert (code, out) == (1, "")
    assert err.splitlines()[-1].startswith("error: TensorRT-RTX does not build for compute capability 9.0")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--profile", "512x512"), "'512x512' is not a profile"),
        (("--profile", "1x1,2x2,3x3", "--profile-from", "."), "give --profile or --profile-from, not both"),
        (("--profile", "1x1,1x1,2147483648x1"), "TensorRT takes frames of up to 2147483647 pixels on a side"),
        (("--max-batch", "99999999999"), "less than or equal to 65536"),
        (("--workspace", "many"), "'many' is not a size such as 4G or 512M"),
        (("--workspace", "99999999999G"), "99999999999G is more memory than any GPU has"),
        (("--target", "tensorrt", "--compute-capability", "8.6"), "--compute-capability is for TensorRT-RTX"),
        (("--compute-capability", "ampere"), "'ampere' is not a list such as 8.6,8.9"),
        (("--optimization-level", "9"), "less than or equal to 5"),
        (("--target", "cpu"), "'cpu' is not one of"),
    ],
)
def test_wrong_usage(fcnrt, tiny_model: Path, options: tuple[str, ...], message: str) -> None:
    code, out, err = fcnrt("build", tiny_model, *options)
    assert (code, out) == (2, "")
    assert message in " ".join(err.replace("│", " ").split())


@pytest.mark.parametrize(
    ("text", "count"), [(None, None), ("4G", 4 << 30), ("512MiB", 512 << 20), ("1000", 1000), ("8kb", 8 << 10)]
)
def test_sizes_of_memory(text: str | None, count: int | None) -> None:
    assert command._parse_bytes(text) == count
