"""The test that every exported file carries: frames that any machine can make, and the classes PyTorch finds in them.

A deployed machine can check itself with it: without PyTorch, without data, in about a second.

The frames are no photographs, and a network finds few of its classes in them: of the others nothing is proven, but that
they have the names and colours they were exported with.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .channel_order import in_channel_order
from .engines.engine_file import is_engine
from .engines.manifest import read_manifest
from .errors import ModelFileError
from .further_outputs import ExpectedOutputs, self_test_faults
from .onnx_header import read_metadata
from .pixel_agreement import PixelAgreement
from .spec import METADATA_KEY, ImageSize, ModelSpec, OutputName

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .segmenter import Prediction

SELF_TEST_KEY = "fcnrt.self_test"
"""Key of the ONNX metadata entry that holds `SelfTest` as JSON."""

_FORMAT = 1
_CELLS = (32, 11, 3, 1)  # sides of the squares in the pattern, in pixels
_WEIGHTS = (4, 3, 2, 1)


@dataclass(frozen=True, eq=False)
class GoldenFrame:
    """A generated frame and what PyTorch makes of it in float32.

    Attributes:
        seed: Chooses the frame.
        size: Its size.
        class_map: Class of each pixel, uint8 (H, W).
        firm: Where that class leads by more than rounding can turn, bool (H, W). Elsewhere two classes are nearly tied,
            and another backend or processor may choose the other one.
        for_engines: Whether only engines run it: it is there for its size.
        outputs: What the outputs besides the class map must be; None if that is not kept.
    """

    seed: int
    size: ImageSize
    class_map: NDArray[np.uint8]
    firm: NDArray[np.bool_]
    for_engines: bool = False
    outputs: ExpectedOutputs | None = None


@dataclass(frozen=True, eq=False)
class SelfTest:
    """What a file promises about itself.

    Attributes:
        frames: Frames with the expected classes.
        floor: Share of the firm pixels that must have the expected class: 1 in fp32, a little less in lower precision.
        meaning: `meaning_of` the network; None in files of older versions.
    """

    frames: tuple[GoldenFrame, ...]
    floor: float
    meaning: str | None = None

    @property
    def sha256(self) -> str:
        """SHA-256 of the expected class maps, one after the other, hexadecimal."""
        return _digest([frame.class_map for frame in self.frames])

    def to_json(self) -> str:
        """The test as one JSON object."""
        frames = [
            {
                "seed": frame.seed,
                "size": str(frame.size),
                "class_map": _pack(frame.class_map.tobytes()),
                "firm": _pack(np.packbits(frame.firm).tobytes()),
                "for_engines": frame.for_engines,
                **({"outputs": _outputs_entry(frame.outputs)} if frame.outputs is not None else {}),
            }
            for frame in self.frames
        ]
        return json.dumps(
            {
                "format": _FORMAT,
                "sha256": self.sha256,
                "floor": self.floor,
                "meaning": self.meaning,
                "frames": frames,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> SelfTest:
        """The test written by `to_json`.

        Raises:
            ModelFileError: If the text is not a self-test, is damaged, or is of a newer format.
        """
        try:
            data = json.loads(text)
            written_in = int(data["format"])
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as exc:
            raise _damaged(repr(exc)) from exc
        if written_in > _FORMAT:
            raise ModelFileError(
                f"the self-test was written in format {written_in}; this fcnrt reads up to {_FORMAT}. "
                "Upgrade fcnrt, or export the model again with this version."
            )
        try:
            frames = tuple(_golden_frame(entry) for entry in data["frames"])
            test = cls(frames, float(data["floor"]), data.get("meaning"))
            expected = data["sha256"]
        except (ValueError, TypeError, KeyError, OverflowError, zlib.error) as exc:
            raise _damaged(repr(exc)) from exc
        if test.sha256 != expected:
            raise _damaged("its hash is wrong")
        return test


@dataclass(frozen=True, kw_only=True)
class SelfTestResult(PixelAgreement):
    """What a self-test found.

    Attributes:
        frames: Frames that were run.
        faults: Firm pixels whose class is not the expected one.
        firm_pixels: Pixels where the expected class leads clearly.
        identical: Whether the class maps have the expected hash.
        floor: Share of the firm pixels that must agree.
        num_classes: Classes of the network.
        classes_seen: Those of them that have so many firm pixels that exchanging one would show; no more is known of
            the others.
        wrong_outputs: Outputs besides the class map that are not what they must be.
        right_outputs: Those that are.
        unchecked_outputs: Those of which nothing is known.
    """

    frames: int
    faults: int
    firm_pixels: int
    identical: bool
    floor: float
    num_classes: int
    classes_seen: int
    wrong_outputs: tuple[OutputName, ...] = ()
    right_outputs: tuple[OutputName, ...] = ()
    unchecked_outputs: tuple[OutputName, ...] = ()

    @property
    def class_map_passed(self) -> bool:
        """Whether the class maps on this machine are what they are in PyTorch, but for ties and rounding."""
        return self.identical or self.faults <= (1 - self.floor) * self.firm_pixels

    @property
    def conclusive(self) -> bool:
        """Whether any pixel's class leads clearly: whatever a network without scores, or with NaN, returns is a tie."""
        return self.firm_pixels > 0

    @property
    def passed(self) -> bool:
        """Whether the file is proven to do on this machine what PyTorch does, but for ties and rounding."""
        return self.conclusive and self.class_map_passed and not self.wrong_outputs


def meaning_of(spec: ModelSpec) -> str:
    """SHA-256 of what the numbers mean that go in and come out, hexadecimal: channels, class names and colours."""
    text = json.dumps([spec.channel_order, spec.class_names, spec.palette])
    return hashlib.sha256(text.encode()).hexdigest()


def read_self_test(model: Path) -> SelfTest | None:
    """The self-test of a deployed file; None if it was exported without one.

    Args:
        model: An exported ONNX file or an engine. Of an ONNX file's test the frames remain that are not for engines
            alone, of an engine's those whose size it takes.

    Raises:
        ModelFileError: If the file is not an exported one, its self-test is damaged, its classes have not the names
            and colours they were exported with, or an engine takes none of its frames.
    """
    manifest = read_manifest(model) if is_engine(model) else None
    if manifest is None:
        metadata = read_metadata(model)
        text, spec = metadata.get(SELF_TEST_KEY), ModelSpec.from_json(metadata[METADATA_KEY])
    else:
        text, spec = manifest.self_test, manifest.spec
    if text is None:
        return None
    try:
        test = SelfTest.from_json(text)
    except ModelFileError as exc:
        raise ModelFileError(f"{model}: {exc}") from exc
    if test.meaning is not None and test.meaning != meaning_of(spec):
        raise ModelFileError(
            f"{model}: the class names, the palette or the order of channels in its metadata are not those it was "
            "exported with; copy or export the model again"
        )
    if manifest is None:
        return replace(test, frames=tuple(frame for frame in test.frames if not frame.for_engines))
    frames = tuple(frame for frame in test.frames if any(profile.admits(frame.size) for profile in manifest.profiles))
    if not frames:
        raise ModelFileError(
            f"{model} takes none of the self-test's frames ({', '.join(str(frame.size) for frame in test.frames)}); "
            "compare it on pictures of its size: --reference CHECKPOINT --data DIR"
        )
    return replace(test, frames=frames)


def run_self_test(
    predict: Callable[[NDArray[np.uint8]], Prediction], test: SelfTest, *, spec: ModelSpec
) -> SelfTestResult:
    """Run a network on its golden frames and compare what it returns with what is expected.

    Args:
        predict: The network, such as `Segmenter.predict`: takes a frame, uint8 (H, W, 3).
        test: What to run and what to expect.
        spec: What the model says about itself.

    Raises:
        InferenceError: If the network cannot be run.
    """
    class_maps, further = [], [name for name in spec.outputs if name != "class_map"]
    faults_of: dict[OutputName, int] = {}
    for golden in test.frames:
        frame = in_channel_order(golden_frame(golden.seed, golden.size), spec.channel_order)
        prediction = predict(frame)
        class_maps.append(prediction.class_map)
        if further and prediction.class_map.shape == golden.firm.shape:
            found = self_test_faults(prediction, frame, spec, firm=golden.firm, expected=golden.outputs)
            for name, wrong in found.items():
                faults_of[name] = faults_of.get(name, 0) + int(np.count_nonzero(wrong))
    differs = [
        class_map != frame.class_map if class_map.shape == frame.class_map.shape else np.ones_like(frame.firm)
        for class_map, frame in zip(class_maps, test.frames, strict=True)
    ]
    pixels = sum(frame.firm.size for frame in test.frames)
    firm_pixels = sum(int(np.count_nonzero(frame.firm)) for frame in test.frames)
    counts = sum(np.bincount(frame.class_map[frame.firm], minlength=256) for frame in test.frames)
    allowed = (1 - test.floor) * pixels
    return SelfTestResult(
        frames=len(test.frames),
        pixels=pixels,
        differing=sum(int(np.count_nonzero(wrong)) for wrong in differs),
        firm_pixels=firm_pixels,
        faults=sum(
            int(np.count_nonzero(wrong & frame.firm)) for wrong, frame in zip(differs, test.frames, strict=True)
        ),
        identical=_digest(class_maps) == test.sha256,
        floor=test.floor,
        num_classes=spec.num_classes,
        classes_seen=int(np.count_nonzero(counts > (1 - test.floor) * firm_pixels)),
        wrong_outputs=tuple(name for name in further if name in faults_of and faults_of[name] > allowed),
        right_outputs=tuple(name for name in further if name in faults_of and faults_of[name] <= allowed),
        unchecked_outputs=tuple(name for name in further if name not in faults_of),
    )


def golden_frame(seed: int, size: ImageSize) -> NDArray[np.uint8]:
    """A frame of coloured squares of several sizes, RGB, uint8 (H, W, 3): the same bytes on every machine, for ever.

    Integer arithmetic only; numpy's own random numbers may change between its versions.
    """
    rows, columns, channels = np.ogrid[: size.height, : size.width, :3]
    total = np.zeros((size.height, size.width, 3), np.uint64)
    for layer, (cell, weight) in enumerate(zip(_CELLS, _WEIGHTS, strict=True)):
        index = ((rows // cell) * 4096 + columns // cell) * 16 + channels * 4 + layer
        total += (_mixed(index.astype(np.uint64) + np.uint64(seed << 40)) >> np.uint64(56)) * np.uint64(weight)
    # Sums crowd around the middle: stretched by two, so that dark and bright occur as well.
    stretched = total.astype(np.int64) * 2 // sum(_WEIGHTS) - 128
    return np.ascontiguousarray(np.clip(stretched, 0, 255).astype(np.uint8))


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A random-looking number for each number: the finaliser of SplitMix64 (Steele, Lea, Flood 2014)."""
    values = (values + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: NDArray[np.uint64] = values ^ (values >> np.uint64(31))
    return mixed


def _golden_frame(entry: dict[str, Any]) -> GoldenFrame:
    size = ImageSize.parse(entry["size"])
    shape, pixels = (size.height, size.width), size.height * size.width
    class_map = np.frombuffer(_unpack(entry["class_map"]), np.uint8).reshape(shape)
    bits = np.frombuffer(_unpack(entry["firm"]), np.uint8)
    return GoldenFrame(
        int(entry["seed"]),
        size,
        class_map,
        np.unpackbits(bits, count=pixels).astype(bool).reshape(shape),
        for_engines=bool(entry.get("for_engines", False)),  # without it, an older export: every frame is for all
        outputs=_expected_outputs(entry["outputs"], size) if "outputs" in entry else None,
    )


def _outputs_entry(expected: ExpectedOutputs) -> dict[str, Any]:
    return {
        "logit_limit": expected.logit_limit,
        "logit_means": expected.logit_means.tolist(),
        "confidence": _pack(expected.confidence.tobytes()),
    }


def _expected_outputs(entry: dict[str, Any], size: ImageSize) -> ExpectedOutputs:
    confidence = np.frombuffer(_unpack(entry["confidence"]), np.uint8)
    return ExpectedOutputs(
        float(entry["logit_limit"]),
        np.asarray(entry["logit_means"], np.float64),
        confidence.reshape(ExpectedOutputs.sampled(size)),
    )


def _digest(class_maps: list[NDArray[np.uint8]]) -> str:
    digest = hashlib.sha256()
    for class_map in class_maps:
        digest.update(np.ascontiguousarray(class_map).tobytes())
    return digest.hexdigest()


def _pack(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data, 9)).decode("ascii")


def _unpack(text: str) -> bytes:
    return zlib.decompress(base64.b64decode(text, validate=True))


def _damaged(reason: str) -> ModelFileError:
    return ModelFileError(f"the model's self-test is damaged ({reason}); copy or export the model again")
