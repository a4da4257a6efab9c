"""The manifest beside an engine: what it was built from, with and for; and the check that it fits this machine."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from ..atomic import atomic_path, write_text
from ..errors import EngineMismatchError
from ..file_hash import file_hash
from ..gpu.gpu import Gpu
from ..spec import ModelSpec
from .optimization_profile import OptimizationProfile
from .tensorrt_library import Flavor, TensorRtLibrary, title

_FORMAT = 1  # raised when a reader of the older form would misunderstand the newer one


@dataclass(frozen=True, kw_only=True)
class EngineKey:
    """Everything an engine depends on: two engines with equal keys are interchangeable.

    Attributes:
        onnx_sha256: SHA-256 of the ONNX file, hexadecimal.
        flavor: Which TensorRT: ``tensorrt`` or ``tensorrt_rtx``.
        version: Its version.
        gpu: Name of the GPU; None for TensorRT-RTX, whose engines are not bound to one.
        compute_capabilities: What the engine runs on, such as ``8.9``; empty for TensorRT-RTX means every one that it
            supports.
        profiles: Sizes that were asked for, as ``MIN,OPT,MAX``; empty for the default.
        max_batch: Most frames in one call.
        workspace_bytes: Limit on the builder's scratch memory; None for TensorRT's own.
        optimization_level: How long the builder searches, 0 to 5; None for TensorRT's own.
    """

    onnx_sha256: str
    flavor: Flavor
    version: str
    gpu: str | None
    compute_capabilities: tuple[str, ...]
    profiles: tuple[str, ...]
    max_batch: int
    workspace_bytes: int | None
    optimization_level: int | None

    def __post_init__(self) -> None:
        if self.flavor not in get_args(Flavor):
            raise ValueError(f"the flavor must be {' or '.join(get_args(Flavor))}, got {self.flavor!r}")
        for name in ("compute_capabilities", "profiles"):
            if not all(isinstance(text, str) for text in getattr(self, name)):
                raise TypeError(f"{name}: it is a list of texts")
        if not isinstance(self.max_batch, int):
            raise TypeError(f"max_batch: it is a whole number, not {self.max_batch!r}")

    @property
    def digest(self) -> str:
        """A short name for the key, the same in every process."""
        text = json.dumps(dataclasses.asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def differences(self, other: EngineKey) -> list[str]:
        """One line for each field in which the two differ: ``field: mine, wanted theirs``."""
        names = [field.name for field in dataclasses.fields(self)]
        return [
            f"{name}: {getattr(self, name)}, wanted {getattr(other, name)}"
            for name in names
            if getattr(self, name) != getattr(other, name)
        ]


@dataclass(frozen=True, kw_only=True)
class EngineManifest:
    """What is written beside an engine as ``NAME.engine.json``.

    Attributes:
        key: What the engine depends on.
        profiles: The profiles it holds, in their order; empty where they are yet to be read from the engine.
        onnx_name: The ONNX file it was built from, as seen from the engine's folder; absolute for an engine in the
            store, which is found by the ONNX file's content and not by its place.
        onnx_bytes: Size of that file.
        engine_bytes: Size of the engine.
        engine_sha256: SHA-256 of the engine, hexadecimal.
        convolutions: Number of convolution layers by the type they run in, for example ``{"fp16": 15, "fp32": 3}``.
        spec: The metadata of the ONNX file.
        self_test: The self-test of the ONNX file, as JSON; None if it has none.
    """

    key: EngineKey
    profiles: tuple[OptimizationProfile, ...]
    onnx_name: str
    onnx_bytes: int
    engine_bytes: int
    engine_sha256: str
    convolutions: dict[str, int]
    spec: ModelSpec
    self_test: str | None = None

    def to_json(self) -> str:
        """The manifest as JSON, for people to read too."""
        profiles = [
            {"min": str(p.min), "opt": str(p.opt), "max": str(p.max), "max_batch": p.max_batch} for p in self.profiles
        ]
        plain = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        plain |= {
            "key": dataclasses.asdict(self.key),
            "profiles": profiles,
            "spec": json.loads(self.spec.to_json()),
        }
        return json.dumps({"format": _FORMAT, **plain}, indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> EngineManifest:
        """The manifest written by `to_json`.

        Raises:
            ValueError: If the text is not a manifest, or one of another format.
        """
        try:
            data: dict[str, Any] = json.loads(text)
        except (ValueError, RecursionError) as exc:
            raise ValueError("it is damaged, or is no JSON") from exc
        try:
            if data["format"] != _FORMAT:
                raise ValueError(f"it has format {data['format']!r}, this fcnrt reads {_FORMAT}")
            key = dict(data["key"])
            for name in ("compute_capabilities", "profiles"):
                key[name] = tuple(key[name])
            return cls(
                key=EngineKey(**key),
                profiles=tuple(
                    OptimizationProfile.parse(",".join((p["min"], p["opt"], p["max"])), max_batch=p["max_batch"])
                    for p in data["profiles"]
                ),
                onnx_name=str(data["onnx_name"]),
                onnx_bytes=int(data["onnx_bytes"]),
                engine_bytes=int(data["engine_bytes"]),
                engine_sha256=str(data["engine_sha256"]),
                convolutions={str(kind): int(count) for kind, count in data["convolutions"].items()},
                spec=ModelSpec.from_json(json.dumps(data["spec"])),
                self_test=data.get("self_test"),
            )
        except OverflowError as exc:
            raise ValueError(f"it is damaged: {exc}") from exc
        except (KeyError, TypeError, AttributeError) as exc:
            raise ValueError(f"it lacks or misuses the field {exc}") from exc


def manifest_path(engine: Path) -> Path:
    """Where the manifest of an engine lies: beside it, with ``.json`` added to its name."""
    return engine.with_name(engine.name + ".json")


def write_engine(engine: Path, plan: memoryview | bytes, manifest: EngineManifest) -> None:
    """Write an engine and its manifest, both or none.

    Raises:
        OutputError: If a file cannot be written.
    """
    with (
        atomic_path(manifest_path(engine)) as temporary_manifest,
        atomic_path(engine) as temporary_engine,
    ):
        temporary_engine.write_bytes(plan)
        temporary_manifest.write_text(manifest.to_json(), encoding="utf-8")


def write_manifest(engine: Path, manifest: EngineManifest) -> None:
    """Write the manifest of an engine that is there already.

    Raises:
        OutputError: If it cannot be written.
    """
    write_text(manifest_path(engine), manifest.to_json())


def read_manifest(engine: Path) -> EngineManifest:
    """The manifest of an engine.

    Raises:
        EngineMismatchError: If the engine or its manifest is missing or damaged.
    """
    path = manifest_path(engine)
    try:
        is_file = engine.is_file()
    except OSError as exc:  # in a folder that may not be entered, or a name that is too long
        raise EngineMismatchError(f"{engine} cannot be read: {exc.strerror}") from exc
    if not is_file:
        raise EngineMismatchError(f"{engine} does not exist; build it with: fcnrt build MODEL.onnx -o {engine}")
    try:
        return EngineManifest.from_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError as exc:
        raise EngineMismatchError(
            f"{engine} has no manifest {path.name} beside it, so nothing says what it was built for. Copy the manifest "
            f"too, build the engine again (fcnrt build MODEL.onnx -o {engine}), or, if you know where it comes from, "
            f"have it taken for {engine.stem}.onnx beside it with --trust"
        ) from exc
    except (OSError, ValueError) as exc:
        raise EngineMismatchError(
            f"{path} cannot be used: {exc}. Build the engine again: fcnrt build MODEL.onnx -o {engine}"
        ) from exc


def onnx_path(engine: Path, manifest: EngineManifest) -> Path:
    """Where the ONNX file of an engine was when the engine was built; on a deployed machine there is none."""
    return Path(os.path.normpath(engine.parent / manifest.onnx_name))


def rebuild_command(engine: Path, manifest: EngineManifest) -> str:
    """The command that builds an engine again."""
    key = manifest.key
    words = ["fcnrt", "build", str(onnx_path(engine, manifest)), "-o", str(engine)]
    if key.flavor == "tensorrt_rtx":
        words += ["--target", "rtx"]
        if key.compute_capabilities:
            words += ["--compute-capability", ",".join(key.compute_capabilities)]
    for profile in key.profiles:
        words += ["--profile", profile]
    if key.max_batch > 1:
        words += ["--max-batch", str(key.max_batch)]
    if key.workspace_bytes is not None:
        words += ["--workspace", str(key.workspace_bytes)]
    if key.optimization_level is not None:
        words += ["--optimization-level", str(key.optimization_level)]
    return shlex.join(words)


def check_machine(engine: Path, manifest: EngineManifest, library: TensorRtLibrary, gpu: Gpu) -> None:
    """Refuse an engine that was built for another TensorRT or another GPU, before TensorRT sees it.

    Raises:
        EngineMismatchError: Naming what differs, and the command that builds the engine for this machine.
    """
    key = manifest.key
    built_with = f"{title(key.flavor)} {key.version}"
    if (key.flavor, key.version) != (library.flavor, library.version):
        raise _mismatch(engine, manifest, f"was built with {built_with}; this machine has {library}")
    if key.gpu is not None and key.gpu != gpu.name:
        raise _mismatch(engine, manifest, f"was built for an {key.gpu}; this machine has an {gpu.name}")
    if key.compute_capabilities and gpu.compute_capability not in key.compute_capabilities:
        raise _mismatch(
            engine,
            manifest,
            f"was built for compute capability {', '.join(key.compute_capabilities)}; the {gpu.name} of this machine "
            f"has {gpu.compute_capability}",
        )


def check_size(engine: Path, manifest: EngineManifest) -> None:
    """Refuse an engine that was cut off, without reading it.

    Raises:
        EngineMismatchError: If its size is not the one in its manifest.
    """
    size = engine.stat().st_size
    if size != manifest.engine_bytes:
        raise _mismatch(engine, manifest, f"has {size:,} bytes, its manifest says {manifest.engine_bytes:,}")


def read_plan(engine: Path, manifest: EngineManifest) -> bytes:
    """The engine's bytes, if they are those that were built, and from the ONNX file as it is now, if it is there.

    Raises:
        EngineMismatchError: If the engine is truncated or damaged, or the ONNX file has changed since.
    """
    try:
        check_size(engine, manifest)
        _check_onnx(engine, manifest)
        plan = engine.read_bytes()
    except OSError as exc:
        raise EngineMismatchError(f"{engine} cannot be read: {exc.strerror or exc}") from exc
    if hashlib.sha256(plan).hexdigest() != manifest.engine_sha256:
        raise _mismatch(engine, manifest, "is damaged: its SHA-256 is not the one in its manifest")
    return plan


def _check_onnx(engine: Path, manifest: EngineManifest) -> None:
    onnx = onnx_path(engine, manifest)
    if Path(manifest.onnx_name).is_absolute() or not onnx.is_file():
        return
    if onnx.stat().st_size != manifest.onnx_bytes or file_hash(onnx) != manifest.key.onnx_sha256:
        raise _mismatch(engine, manifest, f"was built from another {onnx.name} than the one there now")


def _mismatch(engine: Path, manifest: EngineManifest, reason: str) -> EngineMismatchError:
    return EngineMismatchError(f"{engine} {reason}. Rebuild it: {rebuild_command(engine, manifest)}")
