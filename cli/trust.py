"""`--trust`: engines without a manifest, taken on the user's word."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

TrustOption = Annotated[
    bool,
    typer.Option(
        "--trust",
        help="Take an engine without a manifest for NAME.onnx beside it, and write the manifest. Engines hold "
        "programs: only if you know where it comes from.",
    ),
]


def trust_engines(models: Iterable[Path], device: str) -> None:
    """Give those engines a manifest that have none, saying so."""
    from ..runtime.engines.engine_file import is_engine
    from .console import say

    for model in models:
        if is_engine(model):
            from ..runtime.runners.trusted_engine import trust_engine

            manifest = trust_engine(model, device=device)
            if manifest is not None:
                say(f"{model.name} is taken for {model.stem}.onnx from now on: wrote {manifest}")
