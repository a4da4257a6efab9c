"""How much an installation takes on disk."""

from __future__ import annotations

from importlib.metadata import Distribution, PackageNotFoundError, distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ..report import Outcome, Row

_AT_MOST_MIB = 200.0
_MIB = 2**20


def measure_footprint() -> Row:
    """Add up the installed files of what running on a CPU needs, and of what running in PyTorch needs."""
    needed = closure("fcnrt", extra="cpu")
    alone = {"fcnrt", *closure("onnxruntime"), *closure("typing-extensions")}
    torch = closure("torch") | closure("torchvision")
    size, size_alone = installed_mib(needed), installed_mib(alone)
    return Row(
        name="installed-size",
        title="Installed, to run models on a CPU",
        scope=(
            "files that the installed packages list, in this environment: fcnrt with its extra cpu and everything that "
            f"they require ({', '.join(sorted(needed))}); what Segmenter alone takes, for frames there already "
            f"({', '.join(sorted(alone))}); torch and torchvision as installed here with everything that they require "
            f"({len(torch)} packages)"
        ),
        unit="MiB",
        samples={"fcnrt[cpu]": (size,), "Segmenter alone": (size_alone,), "PyTorch": (installed_mib(torch),)},
        outcomes=(
            Outcome(value=size, meaning="MiB, with pictures, video and the command", at_most=_AT_MOST_MIB),
            Outcome(value=size_alone, meaning="MiB, Segmenter alone", at_most=_AT_MOST_MIB),
        ),
    )


def closure(name: str, *, extra: str = "") -> set[str]:
    """Names of an installed package and of all installed packages that it requires, directly or not.

    Args:
        name: The package.
        extra: One of its extras.
    """
    found: set[str] = set()
    seen: set[tuple[str, str]] = set()
    waiting = [(name, extra)]
    while waiting:
        current, wanted = waiting.pop()
        if (current, wanted) in seen:
            continue
        seen.add((current, wanted))
        try:
            package = distribution(current)
        except PackageNotFoundError:  # an extra of another platform, say
            continue
        found.add(canonicalize_name(current))
        for text in package.requires or ():
            requirement = Requirement(text)
            if requirement.marker is not None and not requirement.marker.evaluate({"extra": wanted}):
                continue
            waiting += [(requirement.name, inner) for inner in ("", *requirement.extras)]
    return found


def installed_mib(names: set[str]) -> float:
    """Size of the files of installed packages, in MiB; an editable one has hardly any."""
    return sum(map(_size, map(distribution, names))) / _MIB


def _size(package: Distribution) -> int:
    paths = (package.locate_file(file) for file in package.files or ())
    return sum(path.stat().st_size for path in paths if path.is_file())  # type: ignore[attr-defined]
