"""The `fcnrt` program: its commands, and the one place where errors become a line and an exit code."""

from __future__ import annotations

import errno
import os
import sys
from typing import NoReturn

import typer

from ..runtime.errors import FcnrtError
from .bench import bench_app
from .build import build
from .cache import cache_app
from .convert import convert
from .data import data_app
from .doctor import doctor
from .evaluate import evaluate
from .export import export
from .info import info
from .pack import pack
from .run import run
from .train import train
from .verify import verify

app = typer.Typer(
    name="fcnrt",
    help="Deploy FCN semantic segmentation: PyTorch to ONNX and TensorRT, and run it on pictures and video.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("export")(export)
app.command("build")(build)
app.command("doctor")(doctor)
app.command("convert")(convert)
app.command("evaluate")(evaluate)
app.command("info")(info)
app.command("pack")(pack)
app.command("run")(run)
app.command("train")(train)
app.command("verify")(verify)
app.add_typer(bench_app, name="bench")
app.add_typer(cache_app, name="cache")
app.add_typer(data_app, name="data")


def main() -> None:
    """Run the command line; exit code 1 and one line on stderr for bad input, 2 for wrong usage."""
    try:
        try:
            app()
        finally:
            sys.stdout.flush()
    except FcnrtError as exc:
        _end(str(exc))
    except ImportError as exc:
        from ..runtime.packages import explain_missing_media

        explanation = explain_missing_media(exc)
        if explanation is None:
            raise
        _end(". Run: ".join(explanation))
    except OSError as exc:
        if exc.filename is None and exc.errno in (errno.ENOSPC, errno.EPIPE):
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Python would try once more at its end
            if exc.errno == errno.EPIPE:  # whoever read it has seen enough, like `head`
                sys.exit(1)
            _end(f"cannot write to stdout: {exc.strerror}")
        if exc.filename is None:
            raise
        # A path that nobody may even look at: too long, in a folder that must not be entered, on a disk that fails.
        _end(f"cannot use {exc.filename}: {exc.strerror}")


def _end(error: str) -> NoReturn:
    sys.stderr.write(f"error: {error}\n")
    sys.exit(1)
