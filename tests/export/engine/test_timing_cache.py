from __future__ import annotations

from pathlib import Path

import pytest

from fcnrt.export.engine.timing_cache import default_timing_cache, load_timing_cache, save_timing_cache
from fcnrt.runtime.engines.tensorrt_library import TensorRtLibrary
from fcnrt.runtime.gpu.gpu import Gpu


class FakeCache:
    def __init__(self, data: bytes) -> None:
        self.data = data

    def serialize(self) -> bytes:
        return self.data


class FakeConfig:
    """Keeps a timing cache as IBuilderConfig does: damaged data give no cache, a foreign one is refused."""

    def __init__(self) -> None:
        self.cache: FakeCache | None = None

    def create_timing_cache(self, data: bytes) -> FakeCache | None:
        return None if data == b"damaged" else FakeCache(data)

    def set_timing_cache(self, cache: FakeCache, ignore_mismatch: bool) -> bool:
        if cache.data == b"foreign" and not ignore_mismatch:
            return False
        self.cache = cache
        return True

    def get_timing_cache(self) -> FakeCache | None:
        return self.cache


@pytest.mark.parametrize(("stored", "used"), [(None, b""), (b"mine", b"mine"), (b"foreign", b""), (b"damaged", b"")])
def test_uses_what_fits_and_starts_anew_otherwise(tmp_path: Path, stored: bytes | None, used: bytes) -> None:
    path = tmp_path / "x.cache"
    if stored is not None:
        path.write_bytes(stored)
    config = FakeConfig()
    load_timing_cache(config, path)
    assert config.cache is not None
    assert config.cache.data == used


def test_saves_into_a_new_folder(tmp_path: Path) -> None:
    config = FakeConfig()
    config.cache = FakeCache(b"measured")
    save_timing_cache(config, tmp_path / "timing" / "x.cache")
    assert (tmp_path / "timing" / "x.cache").read_bytes() == b"measured"


def test_nothing_to_save(tmp_path: Path) -> None:
    save_timing_cache(FakeConfig(), tmp_path / "x.cache")
    assert list(tmp_path.iterdir()) == []


def test_one_file_per_version_and_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FCNRT_CACHE_DIR", str(tmp_path))
    path = default_timing_cache(TensorRtLibrary("tensorrt", "11.4.0", None), Gpu("NVIDIA L4", "8.9", 1))
    assert path == tmp_path / "timing" / "tensorrt-11.4.0-NVIDIA-L4.cache"
