"""`ReportFile`: reports with many samples as JSON, laid out for people and for diffs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ..runtime.atomic import write_text
from ..runtime.errors import SourceError

_SIGNIFICANT_DIGITS = 5  # more than any clock or machine repeats

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class ReportFile:
    """A kind of file.

    Attributes:
        kind: What such a file says it is.
        format: Raised when a reader of the older form would misunderstand the newer one.
        command: What writes one.
    """

    kind: str
    format: int
    command: str

    def text(self, document: Mapping[str, Any]) -> str:
        """A report as JSON, with one line per series of numbers, not per sample."""
        whole = {"kind": self.kind, "format": self.format, **document}
        text = json.dumps(whole, indent=2, ensure_ascii=False)
        return re.sub(r"\[\s+([-+.,\de\s]+?)\s+\]", lambda match: f"[{' '.join(match[1].split())}]", text) + "\n"

    def write(self, path: Path, document: Mapping[str, Any]) -> None:
        """Write a report.

        Raises:
            OutputError: If the file cannot be written.
        """
        write_text(path, self.text(document))

    def read(self, path: Path, parse: Callable[[dict[str, Any]], T]) -> T:
        """The report in a file of this kind.

        Args:
            path: The file.
            parse: Makes the report of the document; raises ValueError, TypeError or KeyError if it cannot.

        Raises:
            SourceError: If there is no such file, or it is not one of this kind and format.
        """
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except OSError as exc:
            raise SourceError(f"{path}: cannot be read ({exc.strerror}); write one with: {self.command}") from exc
        except ValueError as exc:
            raise SourceError(f"{path}: not JSON ({exc}); write a report with: {self.command}") from exc
        # Older ones do not say what they are.
        if not isinstance(document, dict) or document.get("kind", self.kind) != self.kind or "format" not in document:
            raise SourceError(f"{path}: not a report of {self.kind}; write one with: {self.command}")
        if document["format"] != self.format:
            raise SourceError(f"{path}: a report of format {document['format']}; this fcnrt reads {self.format}")
        try:
            return parse(document)
        except (ValueError, TypeError, KeyError) as exc:
            raise SourceError(f"{path}: a damaged report ({exc!r}); measure again with: {self.command}") from exc


def rounded(value: float) -> float:
    """A measured figure with the digits that mean something."""
    return float(f"{value:.{_SIGNIFICANT_DIGITS}g}")
