"""JSON of documents that hold many samples, laid out for people and for diffs."""

from __future__ import annotations

import json
import re


def format_samples(document: object, *, indent: int) -> str:
    """The document as JSON, with one line per series of numbers, not per sample."""
    text = json.dumps(document, indent=indent, ensure_ascii=False)
    return re.sub(r"\[\s+([-+.,\de\s]+?)\s+\]", lambda match: f"[{' '.join(match[1].split())}]", text) + "\n"
