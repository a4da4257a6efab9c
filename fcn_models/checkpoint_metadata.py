"""How a checkpoint written by fcnrt describes itself."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..runtime.errors import CheckpointError
from ..runtime.spec import check_palette
from .network import NetworkConfig
from .preprocessing import PREPROCESSING, PreprocessingName
from .registry import config_from

Palette = tuple[tuple[int, int, int], ...]

_FORMAT = 1  # raised when a reader of the older form would misunderstand the newer one


@dataclass(frozen=True, kw_only=True)
class CheckpointMetadata:
    """What the tensors alone do not tell.

    Attributes:
        config: Architecture.
        preprocessing: Name of the pre-processing the weights were trained with.
        class_names: One name per class.
        palette: One RGB colour (0..255) per class.
        bilinear: Upsampling layers that are not in the file, because they are exactly bilinear.
        notes: Whatever else is worth knowing about the weights.
    """

    config: NetworkConfig
    preprocessing: PreprocessingName
    class_names: tuple[str, ...]
    palette: Palette
    bilinear: tuple[str, ...]
    notes: Mapping[str, str]

    def __post_init__(self) -> None:
        if self.preprocessing not in PREPROCESSING:
            raise ValueError(f"preprocessing must be one of {', '.join(PREPROCESSING)}, got {self.preprocessing!r}")
        if not all(name.startswith("upscore") for name in self.bilinear):
            raise ValueError(f"only upsampling layers can be left out, not {', '.join(self.bilinear)}")
        for name, values in (("class names", self.class_names), ("palette colours", self.palette)):
            if len(values) != self.config.num_classes:
                raise ValueError(f"{len(values)} {name} for {self.config.num_classes} classes")
        check_palette(self.palette)

    def to_json(self) -> str:
        """The description as one JSON object."""
        values = dataclasses.asdict(self)
        if not self.config.sigmoid:  # so that versions which do not know it read all files but those that need it
            del values["config"]["sigmoid"]
        return json.dumps({"format": _FORMAT, **values}, ensure_ascii=False, sort_keys=True)

    @classmethod
    def from_json(cls, text: str, file_name: str) -> CheckpointMetadata:
        """The description written by `to_json`.

        Args:
            text: JSON.
            file_name: For messages.

        Raises:
            CheckpointError: If the text is damaged or of a newer format.
        """
        try:
            data: dict[str, Any] = json.loads(text)
            version = data.pop("format")
            if version <= _FORMAT:
                return cls(
                    config=config_from(data["config"]),
                    preprocessing=data["preprocessing"],
                    class_names=tuple(str(name) for name in data["class_names"]),
                    palette=tuple((int(r), int(g), int(b)) for r, g, b in data["palette"]),
                    bilinear=tuple(data["bilinear"]),
                    notes=dict(data["notes"]),
                )
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as exc:
            raise CheckpointError(f"{file_name} describes itself wrongly ({exc}); save or download it again") from exc
        raise CheckpointError(
            f"{file_name} was written in checkpoint format {version}; this fcnrt reads up to {_FORMAT}. Upgrade fcnrt."
        )
