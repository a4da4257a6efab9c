from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    cv2.imwrite(str(path), np.zeros((40, 50, 3), np.uint8))
    return path


@pytest.fixture
def stranger(tmp_path: Path) -> Path:
    """An engine without a manifest."""
    path = tmp_path / "net.engine"
    path.write_bytes(b"plan")
    return path


@pytest.mark.parametrize("command", ["run", "verify", "bench"])
def test_engines_without_a_manifest_are_loaded_on_the_users_word_only(
    fcnrt, picture: Path, stranger: Path, command: str
) -> None:
    arguments = ["run", picture, "--model", stranger] if command == "run" else [command, stranger]
    refused = fcnrt(*arguments)
    assert (refused.exit_code, refused.out) == (1, "")
    assert "has no manifest net.engine.json beside it" in refused.err
    assert "with --trust" in refused.err
    trusted = fcnrt(*arguments, "--trust")
    assert trusted.exit_code == 1
    assert "put the ONNX file that it was built from beside it, as net.onnx" in trusted.err
    assert len(trusted.err.splitlines()) == 1
