from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from fcnrt.fcn_models.published import PUBLISHED
from fcnrt.fcn_models.weights import bundled, fetch
from fcnrt.runtime.errors import CheckpointError, DownloadError


@pytest.mark.parametrize("name", PUBLISHED)
def test_weights_are_looked_for_in_the_cache_and_never_taken_unchecked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("FCNRT_CACHE_DIR", str(tmp_path))
    path = tmp_path / "weights" / PUBLISHED[name].name
    path.parent.mkdir()
    path.write_bytes(b"weights")
    with pytest.raises(DownloadError, match=rf"^{path} has \w+ \w+ instead of {PUBLISHED[name].digest}: another file"):
        fetch(name)
    path.rename(tmp_path / path.name)
    with pytest.raises(DownloadError, match=rf"^{tmp_path / path.name} has"):
        fetch(name, cache_dir=tmp_path)


def test_published_files_have_names_addresses_and_whole_hashes_of_their_own() -> None:
    files = {id(remote): remote for remote in PUBLISHED.values()}.values()  # two names may mean one file
    for kind in ("name", "url", "digest", "page"):
        assert len({getattr(remote, kind) for remote in files}) == len(files)
    for remote in files:
        assert re.fullmatch("[0-9a-f]+", remote.digest)
        assert len(remote.digest) == {"md5": 32, "sha1": 40, "sha256": 64}[remote.algorithm]


def test_unknown_names_are_refused() -> None:
    with pytest.raises(
        CheckpointError, match="no published weights are called 'voc'; there are vgg16-imagenet, voc-fcn32s"
    ):
        fetch("voc")


def test_a_variant_without_demo_weights_is_named() -> None:
    with pytest.raises(CheckpointError, match=r"no demo weights for fcn4s \(.*fcn4s\.safetensors is missing\)"):
        bundled("fcn4s")


def test_finding_bundled_weights_needs_neither_torch_nor_http() -> None:
    code = "import sys, fcnrt.fcn_models.weights; sys.exit(bool({'torch', 'http.client'} & sys.modules.keys()))"
    subprocess.run([sys.executable, "-c", code], check=True)
