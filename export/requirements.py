"""The packages that exporting needs and running does not."""

from __future__ import annotations

from importlib.util import find_spec

from ..runtime.errors import MissingDependencyError
from ..runtime.packages import EXPORT_PACKAGES


def require_export_packages(purpose: str) -> None:
    """Make sure that everything an export imports is installed, before anything slow is imported.

    Args:
        purpose: What needs it, as the beginning of a sentence: ``exporting a model``.

    Raises:
        MissingDependencyError: Naming the packages that are missing and the extra that brings them.
    """
    missing = [name for name in EXPORT_PACKAGES if find_spec(name) is None]
    if missing:
        raise MissingDependencyError(
            f"{purpose} needs {', '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed. "
            'Run: pip install "fcnrt[export]"'
        )
