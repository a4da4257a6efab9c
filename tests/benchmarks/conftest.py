"""A network so small that measuring it takes no time."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import NamedTuple

import pytest

from fcnrt.benchmarks.published.latency import Network
from fcnrt.benchmarks.random_network import quantize_all, random_checkpoint
from fcnrt.benchmarks.usual_route import export_usual_route
from fcnrt.export.to_onnx import export_onnx
from fcnrt.fcn_models.checkpoint import load_checkpoint, save_checkpoint
from fcnrt.fcn_models.fcn import FCNConfig


@pytest.fixture(scope="session")
def tiny_network(tmp_path_factory: pytest.TempPathFactory) -> Network:
    """An FCN-8s with a few channels, exported both ways; do not modify it."""
    folder = tmp_path_factory.mktemp("tiny_network")
    checkpoint = random_checkpoint(FCNConfig(variant="fcn8s", num_classes=5, width=1 / 16, fc_channels=16))
    path = export_onnx(checkpoint, folder / "fcnrt.onnx").path
    usual_path = export_usual_route(checkpoint.model, folder / "usual.onnx")
    return Network(checkpoint, path, usual_path, quantize_all(path, checkpoint, folder / "int8.onnx"), 0.25)


class TinyFiles(NamedTuple):
    checkpoint: Path
    onnx: Path
    other_onnx: Path


@pytest.fixture(scope="session")
def tiny_files(tmp_path_factory: pytest.TempPathFactory) -> TinyFiles:
    """Files of such a network with VOC's classes, and the export of another one; do not modify them."""
    folder = tmp_path_factory.mktemp("tiny_files")
    config = FCNConfig(variant="fcn8s", width=1 / 16, fc_channels=16)
    made = []
    for seed in (0, 1):
        network = random_checkpoint(config, seed=seed)
        path = folder / f"seed{seed}.safetensors"
        save_checkpoint(
            network.model,
            path,
            preprocessing=network.preprocessing,
            class_names=network.class_names,
            palette=network.palette,
            notes={},
            dtype="float32",
        )
        made.append((path, export_onnx(load_checkpoint(path), folder / f"seed{seed}.onnx").path))
    return TinyFiles(checkpoint=made[0][0], onnx=made[0][1], other_onnx=made[1][1])


class Rendered(NamedTuple):
    """What a browser made of a page: how far it runs out of the window to the right, and its ground's brightness."""

    overflow: int
    brightness: float


# Chromium's own window is never narrower than 500 pixels.
_PHONE = """<!doctype html><meta charset="utf-8"><meta name="color-scheme" content="light dark">
<body><iframe style="width: 390px; height: 800px; border: 0" srcdoc="{page}"></iframe><script>
document.querySelector("iframe").onload = event => {{
  const page = event.target.contentDocument, view = event.target.contentWindow;
  const ground = view.getComputedStyle(page.body).backgroundColor.match(/\\d+/g).slice(0, 3).map(Number);
  document.body.dataset.overflow = page.documentElement.scrollWidth - view.innerWidth;
  document.body.dataset.brightness = (ground[0] + ground[1] + ground[2]) / 3;
}};
</script></body>"""


@pytest.fixture
def on_a_phone(tmp_path: Path) -> Callable[[str, str], Rendered]:
    """A function that opens a page in headless Chromium, 390 pixels wide, for someone who likes it light or dark."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("chromium is not installed")

    def render(page: str, likes: str) -> Rendered:
        path = tmp_path / "phone.html"
        path.write_text(_PHONE.format(page=escape(page)), encoding="utf-8")
        scheme = {"dark": 0, "light": 1}[likes]  # of Chromium's preferred colour schemes
        done = subprocess.run(
            [
                *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--window-size=390,800", "--dump-dom"),
                f"--blink-settings=preferredColorScheme={scheme}",
                f"--user-data-dir={tmp_path / 'profile'}",
                path.as_uri(),
            ],
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        found = re.search(r'data-overflow="(-?\d+)" data-brightness="([\d.]+)"', done.stdout)
        assert found, done.stderr
        return Rendered(int(found[1]), float(found[2]))

    wide = "<!doctype html><body style='background: #fff'><div style='width: 500px'>wide</div></body>"
    assert render(wide, "light").overflow > 100  # it would be seen
    return render
