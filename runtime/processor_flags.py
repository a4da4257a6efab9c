"""The extensions that the processor has, as Linux lists them."""

from __future__ import annotations

import re
from pathlib import Path


def processor_flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The first processor's extensions, separated by spaces: ``fpu ... avx2 ...``; empty where it is not Linux."""
    try:
        found = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", cpuinfo.read_text(), re.MULTILINE)
    except OSError:
        return ""
    return found[1] if found is not None else ""
