"""Texts in Matplotlib's figures as they are: names of classes, pictures and folders are the users' own."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def plain_text() -> Iterator[None]:
    """Neither read mathematics between dollar signs, nor warn of signs that the font lacks, while the block runs.

    Figures must be made within, too: a text keeps what held when it was made.
    """
    import matplotlib as mpl

    with warnings.catch_warnings(), mpl.rc_context({"text.parse_math": False, "text.usetex": False}):
        warnings.filterwarnings("ignore", r"Glyph \d+ .*missing from", UserWarning)
        yield
