from __future__ import annotations

import json

import pytest

from fcnrt.runtime import doctor
from fcnrt.runtime.doctor import Finding

FINDINGS = [
    Finding("onnxruntime", "1.31.1", "cpu"),
    Finding("onnxruntime", "1.31.1", "cuda", "libcurand.so.10 cannot be loaded", "pip install x"),
    Finding("TensorRT", None, "build and run engines", "not installed"),
]


@pytest.fixture(autouse=True)
def findings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "examine", lambda: FINDINGS)


def test_lines(fcnrt) -> None:
    code, out, err = fcnrt("doctor")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "  onnxruntime 1.31.1  ✔ cpu",
        "                      ✘ cuda: libcurand.so.10 cannot be loaded  →  pip install x",
        "  TensorRT            ✘ build and run engines: not installed",
    ]


def test_json(fcnrt) -> None:
    code, out, _ = fcnrt("doctor", "--json")
    assert code == 0
    first, second, _ = json.loads(out)
    assert (first["works"], second["works"]) == (True, False)
    assert second["remedy"] == "pip install x"
