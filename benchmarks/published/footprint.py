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
    runtime = closure("fcnrt") | closure("onnxruntime")
    with_media = closure("fcnrt", extra="cpu")
    torch = closure("torch") | closure("torchvision")
    size, size_with_media = installed_mib(runtime), installed_mib(with_media)
    return Row(
        name="installed-size",
        title="Installed, to run models on a CPU",
        scope=(
            "files that the installed packages list, in this environment: fcnrt and onnxruntime with everything that "
            f"they require ({', '.join(sorted(runtime))}); fcnrt with its extra cpu, which adds "
            f"{', '.join(f'{name} ({installed_mib({name}):.0f} MiB)' for name in sorted(with_media - runtime))}; torch "
            f"and torchvision as installed here with everything that they require ({len(torch)} packages)"
        ),
        unit="MiB",
        samples={
            "fcnrt and onnxruntime": (size,),
            "fcnrt[cpu]": (size_with_media,),
            "PyTorch": (installed_mib(torch),),
        },
        outcomes=(
            Outcome(value=size, meaning="MiB: Segmenter, fcnrt verify and info", at_most=_AT_MOST_MIB),
            Outcome(value=size_with_media, meaning="MiB with pictures and video: OpenCV and PyAV are most of it"),
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
