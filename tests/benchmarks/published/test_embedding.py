from __future__ import annotations

import shutil
import sysconfig
from pathlib import Path

import pytest

from fcnrt.benchmarks.published.embedding import measure_embedding
from fcnrt.runtime.errors import MissingDependencyError
from fcnrt.runtime.spec import ImageSize


@pytest.mark.skipif(
    not (shutil.which("cmake") and shutil.which("g++") and sysconfig.get_config_var("Py_ENABLE_SHARED")),
    reason="needs CMake, a C++ compiler and a shared libpython",
)
def test_the_row(tiny_model: Path, tmp_path: Path) -> None:
    pytest.importorskip("pybind11")
    row = measure_embedding(tiny_model, tmp_path, size=ImageSize(24, 32), rounds=4)
    assert row.name == "embedding"
    assert [len(samples) for samples in row.samples.values()] == [4, 4]
    (outcome,) = row.outcomes
    assert outcome.at_most == 0.2
    assert all(0 < added < whole for added, whole in zip(*row.samples.values(), strict=True))


def test_what_is_missing_is_said(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingDependencyError, match=r"needs .*cpp_embed, CMake, a C"):
        measure_embedding(tiny_model, tmp_path, size=ImageSize(24, 32), rounds=4)
