"""`Environment`: the machine and the versions that a measurement belongs to."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from ..runtime.gpu.gpu import list_gpus, load_driver
from ..runtime.packages import installed_version
from ..runtime.processor_flags import processor_flags
from ..runtime.runners.cores import usable_cores

_PACKAGES = (
    *("fcnrt", "torch", "onnxruntime", "onnxruntime-gpu", "onnx", "numpy", "opencv-python", "openvino", "av"),
    *("tensorrt", "triton", "cuda-bindings", "nvidia-cudnn-cu13"),
)
_INT8_INSTRUCTIONS = {  # dot products of bytes: Linux's names and the usual ones
    "avx512_vnni": "AVX-512 VNNI",
    "avx_vnni": "AVX VNNI",
    "amx_int8": "AMX INT8",
    "asimddp": "Arm dot product",
    "i8mm": "Arm I8MM",
}
_INSTRUCTIONS = {"avx2": "AVX2", "avx512f": "AVX-512", **_INT8_INSTRUCTIONS}
_THREAD_SETTINGS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OMP_WAIT_POLICY")
_ROOT = Path(__file__).resolve().parent.parent
_BUSY_PER_PROCESSOR = 0.25  # other work in this share of the machine shows in every figure


@dataclass(frozen=True, kw_only=True)
class Environment:
    """Where and with what something was measured.

    Attributes:
        date: Day of the measurement, UTC, ``YYYY-MM-DD``.
        cpu: Model of the processor.
        instruction_sets: Those of its instruction sets that decide how fast a network is, where Linux lists them.
        processors: Logical processors of the machine.
        cores: Physical cores this process may use.
        memory_gib: Physical memory in GiB.
        system: Operating system and its version.
        python: Version of Python.
        packages: Versions of the installed packages that matter, by name.
        thread_settings: Environment variables that change how many threads backends start.
        commit: Commit of the source, followed by ``+`` if it was changed since; None if it is not a git checkout.
        load_average: Processes that were running in the minute before the measurement, on average.
        gpus: The NVIDIA GPUs with their compute capability, in CUDA's order.
        clocks: Clock rates at that moment, where they can be read, by what they belong to.
    """

    date: str
    cpu: str
    processors: int
    cores: int
    memory_gib: float
    system: str
    python: str
    packages: Mapping[str, str]
    thread_settings: Mapping[str, str]
    commit: str | None
    load_average: float
    instruction_sets: tuple[str, ...] = ()
    gpus: tuple[str, ...] = ()
    clocks: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("gpus", "instruction_sets"):  # JSON has lists
            object.__setattr__(self, name, tuple(getattr(self, name)))

    @classmethod
    def here(cls) -> Environment:
        """This machine, now."""
        return cls(
            date=datetime.now(timezone.utc).date().isoformat(),
            cpu=_cpu(),
            instruction_sets=_instruction_sets(),
            processors=os.cpu_count() or 1,
            cores=usable_cores(),
            memory_gib=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
            system=platform.platform(terse=True),
            python=platform.python_version(),
            packages={name: found for name in _PACKAGES if (found := installed_version(name)) is not None},
            thread_settings={name: os.environ[name] for name in _THREAD_SETTINGS if name in os.environ},
            commit=_commit(_ROOT),
            load_average=round(os.getloadavg()[0], 2),
            gpus=tuple(map(str, list_gpus(load_driver()))),
            clocks=_clocks(),
        )

    @property
    def busy(self) -> bool:
        """Whether so much else was running that figures mean little."""
        return self.load_average > _BUSY_PER_PROCESSOR * self.processors

    @property
    def multiplies_int8(self) -> bool:
        """Whether the processor has instructions for INT8 networks."""
        return not set(_INT8_INSTRUCTIONS.values()).isdisjoint(self.instruction_sets)


def _cpu(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    try:
        match = re.search(r"^model name\s*:\s*(.+)$", cpuinfo.read_text(), re.MULTILINE)
    except OSError:  # not Linux
        match = None
    return match[1].strip() if match else platform.processor() or platform.machine()


def _instruction_sets(cpuinfo: Path = Path("/proc/cpuinfo")) -> tuple[str, ...]:
    listed = processor_flags(cpuinfo).split()
    return tuple(name for flag, name in _INSTRUCTIONS.items() if flag in listed)


def _clocks(cpuinfo: Path = Path("/proc/cpuinfo"), nvidia_smi: str = "nvidia-smi") -> dict[str, str]:
    clocks = {}
    with suppress(OSError):  # not Linux
        rates = re.findall(r"^cpu MHz\s*:\s*([\d.]+)", cpuinfo.read_text(), re.MULTILINE)
        if rates:
            clocks["CPU"] = f"{max(map(float, rates)):.0f} MHz"
    query = [nvidia_smi, "--query-gpu=index,clocks.sm,clocks.max.sm", "--format=csv,noheader"]
    with suppress(OSError, subprocess.CalledProcessError, ValueError):  # no NVIDIA GPU, or one that does not say
        for line in subprocess.run(query, capture_output=True, text=True, check=True).stdout.splitlines():
            index, now, highest = line.split(", ")
            clocks[f"GPU {index}"] = f"{now} of {highest}"
    return clocks


def _commit(root: Path) -> str | None:
    def git(*arguments: str) -> str:
        return subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=True).stdout

    try:
        # An installed copy may lie inside somebody else's repository.
        if Path(git("rev-parse", "--show-toplevel").strip()) != root:
            return None
        changed = git("status", "--porcelain", "--untracked-files=no", "--", "*.py", "pyproject.toml")
        return git("rev-parse", "--short=12", "HEAD").strip() + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):  # no git, or no repository
        return None
