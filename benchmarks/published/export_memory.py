"""How much memory an export takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median

import torch

from ...fcn_models.fcn import FCNConfig
from ...runtime.errors import InferenceError
from ..child_process import FCNRT_PROGRAM, run_child
from ..random_network import random_checkpoint
from ..report import Outcome, Row

_AT_MOST = 3.0  # times the checkpoint's size
_FILE_AT_MOST_GB = 2.0  # what a protocol buffer can hold
_SLIM, _FULL = "demo network", "the paper's width"


def full_width_checkpoint(folder: Path) -> Path:
    """A checkpoint of an FCN-8s of the paper's width with random weights, as PyTorch saves it (538 MB)."""
    path = folder / "fcn8s.pth"
    torch.save(random_checkpoint(FCNConfig(variant="fcn8s", align="caffe")).model.state_dict(), path)
    return path


def measure_export_memory(
    checkpoint: Path, output: Path, *, exports: int, program: Sequence[str] = FCNRT_PROGRAM
) -> Row:
    """Measure the peak memory of ``fcnrt export``.

    Args:
        checkpoint: A checkpoint of an FCN-8s.
        output: File to export it to, which stays there.
        exports: How often.
        program: The command that is `fcnrt`.

    Raises:
        InferenceError: If the program fails, or this is not Linux.
    """
    sources = {_SLIM: (), _FULL: ("--checkpoint", str(checkpoint))}
    anonymous: dict[str, list[float]] = {name: [] for name in sources}
    resident: dict[str, list[float]] = {name: [] for name in sources}
    for _ in range(exports):
        for name, options in sources.items():
            command = [*program, "export", "--variant", "fcn8s", *options, "--output", str(output)]
            run = run_child(command, folder=output.parent, watch_memory=True)
            if run.peak_anonymous_mib is None:
                raise InferenceError("only Linux tells how much memory is anonymous")
            anonymous[name].append(run.peak_anonymous_mib)
            resident[name].append(run.peak_rss_mib)
    checkpoint_mib = checkpoint.stat().st_size / 2**20
    full = median(anonymous[_FULL])
    return Row(
        name="export-memory",
        title="`fcnrt export` of an FCN-8s of the paper's width (random weights), peak memory",
        scope=(
            "peak anonymous memory of the process of fcnrt export (RssAnon, which is what must be there: the rest is "
            "code of libraries and mapped weights, which the system can drop and read again), looked at every 5 ms; "
            f"besides its peak resident memory; float32, padding of 100, checkpoint of {checkpoint_mib:.0f} MiB; for "
            "comparison the same for the bundled demo network, which is what the libraries take"
        ),
        unit="MiB",
        samples={
            **{name: tuple(values) for name, values in anonymous.items()},
            **{f"{name}, resident": tuple(values) for name, values in resident.items()},
        },
        outcomes=(
            Outcome(value=full / checkpoint_mib, meaning="times the checkpoint's size", at_most=_AT_MOST),
            Outcome(
                value=(full - median(anonymous[_SLIM])) / checkpoint_mib,
                meaning="times the checkpoint's size more than for the demo network",
            ),
            Outcome(
                value=median(resident[_FULL]) / checkpoint_mib,
                meaning="times the checkpoint's size with libraries and mapped files",
            ),
            Outcome(value=output.stat().st_size / 1e9, meaning="GB, the exported file", at_most=_FILE_AT_MOST_GB),
        ),
    )
