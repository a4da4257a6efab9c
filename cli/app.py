"""The `fcnrt` program: its commands, and the one place where errors become a line and an exit code."""

from __future__ import annotations

import errno
import os
import sys
from typing import ClassVar, NoReturn

import typer

from ..runtime.errors import FcnrtError
from .lazy_group import LazyGroup


class _Commands(LazyGroup):
    first_lines: ClassVar[dict[str, str]] = {
        "export": "Export a network to one ONNX file: raw uint8 frames of any size in, class map out.",
        "build": "Build a TensorRT engine from an exported model, with a manifest of what it was built for beside it.",
        "doctor": "Try everything fcnrt can use on this machine; name what is missing and the command that brings it.",
        "convert": "Write a checkpoint as safetensors that needs no options: variant, pre-processing and classes are "
        "in it.",
        "evaluate": "Measure the accuracy of a checkpoint or an exported model on labelled pictures.",
        "info": "Print what an exported model takes, returns and was made from, or how a checkpoint will be "
        "understood.",
        "pack": "Pack a model with all that is needed to build it into a product, and to prove that it works there.",
        "run": "Segment pictures or a video with an exported model.",
        "train": "Train FCN-32s, FCN-16s or FCN-8s on your classes, as the paper did.",
        "verify": "Prove that a deployed model is still the PyTorch model; exit code 1 if it is not.",
        "bench": "Measure speed and accuracy of exported models.",
        "cache": "TensorRT engines that `fcnrt run` built on the way, and graphs that ONNX Runtime rearranged for "
        "this processor; they can always be made again. Demo models and downloaded weights, beside them, are left "
        "alone.",
        "data": "Make data sets.",
    }


app = typer.Typer(
    name="fcnrt",
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def fcnrt() -> None:
    """Deploy FCN semantic segmentation: PyTorch to ONNX and TensorRT, and run it on pictures and video."""


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
