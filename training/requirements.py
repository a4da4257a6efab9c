"""The packages that training needs."""

from __future__ import annotations

from importlib.util import find_spec

from ..runtime.errors import MissingDependencyError
from ..runtime.packages import EXPORT_PACKAGES

_PACKAGES = (*EXPORT_PACKAGES, "lightning", "matplotlib")


def require_training_packages() -> None:
    """Make sure that everything a training imports is installed, before anything slow is imported.

    Raises:
        MissingDependencyError: Naming the packages that are missing and the extra that brings them.
    """
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        raise MissingDependencyError(
            f"training needs {', '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed. "
            'Run: pip install "fcnrt[train]"'
        )
