"""What an installation asks for: see [project] in pyproject.toml."""

from __future__ import annotations

from importlib.metadata import metadata, requires

from packaging.requirements import Requirement

REQUIREMENTS = [Requirement(text) for text in requires("fcnrt") or ()]


def _names(extra: str) -> set[str]:
    """Packages that an extra adds; the base without one."""
    return {
        requirement.name
        for requirement in REQUIREMENTS
        if (requirement.marker is None) == (extra == "")
        and (requirement.marker is None or f'extra == "{extra}"' in str(requirement.marker))
    }


def test_nothing_is_pinned_from_above() -> None:
    assert len(REQUIREMENTS) > 15
    limits = {
        str(requirement): specifier.operator
        for requirement in REQUIREMENTS
        for specifier in requirement.specifier
        if specifier.operator != ">="
    }
    assert limits == {}


def test_python_3_10_will_do() -> None:
    assert metadata("fcnrt")["Requires-Python"] == ">=3.10"


def test_the_base_is_small_and_each_extra_brings_what_its_name_says() -> None:
    assert _names("") == {"numpy", "typer", "rich", "typing-extensions"}
    assert _names("media") == {"opencv-python", "av"}
    assert _names("cpu") == {"fcnrt", "onnxruntime"}
    assert _names("gpu") == {"fcnrt", "onnxruntime-gpu"}  # never both: they share one module
    brings_media = {requirement.marker for requirement in REQUIREMENTS if "media" in requirement.extras}
    assert {str(marker) for marker in brings_media} == {'extra == "cpu"', 'extra == "gpu"'}
    assert {"torch", "torchvision", "onnx", "onnxscript", "safetensors"} <= _names("export")
