from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fcnrt.runtime.spec import ModelSpec

from .fake_tensorrt import Setup


@pytest.fixture
def make_setup(tmp_path: Path, tiny_spec: ModelSpec) -> Callable[..., Setup]:
    return lambda **options: Setup(tmp_path, tiny_spec, **options)


@pytest.fixture
def setup(make_setup: Callable[..., Setup]) -> Setup:
    return make_setup()
