"""The packages that training needs besides those of exporting."""

from __future__ import annotations

from importlib.util import find_spec

from ..export.requirements import require_export_packages
from ..runtime.errors import MissingDependencyError

_PACKAGES = ("lightning", "matplotlib")


def require_training_packages() -> None:
    """Make sure that everything a training imports is installed, before anything slow is imported.

    Raises:
        MissingDependencyError: Naming the packages that are missing and the extra that brings them.
    """
    require_export_packages("training")
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        raise MissingDependencyError(
            f"training needs {' and '.join(missing)}, which {'is' if len(missing) == 1 else 'are'} not installed. "
            'Run: pip install "fcnrt[train]"'
        )
