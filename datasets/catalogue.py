"""The catalogue of objects in scenes: for each VOC class how it is drawn, how far it leans, where it stands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..fcn_models.voc import VOC_CLASSES
from .drawing import backdrops, craft, indoor, livestock, pets, wheeled
from .drawing.backdrops import Backdrop
from .drawing.person import person
from .drawing.sketch import Sketch


@dataclass(frozen=True)
class Kind:
    """One class of objects.

    Attributes:
        draw: Makes a sketch with a random appearance.
        tilt: Largest rotation from upright, in degrees.
        places: Backdrops it is usually seen against.
    """

    draw: Callable[[np.random.Generator], Sketch]
    tilt: float
    places: tuple[Backdrop, ...]


_OUTDOORS = (backdrops.meadow, backdrops.street)

_KINDS = {
    "aeroplane": Kind(craft.aeroplane, 28, (backdrops.sky, backdrops.sky, backdrops.meadow)),
    "bicycle": Kind(wheeled.bicycle, 12, _OUTDOORS),
    "bird": Kind(pets.bird, 20, (backdrops.sky, backdrops.meadow, backdrops.water)),
    "boat": Kind(craft.boat, 12, (backdrops.water,)),
    "bottle": Kind(indoor.bottle, 25, (backdrops.room, backdrops.texture)),
    "bus": Kind(wheeled.bus, 8, (backdrops.street,)),
    "car": Kind(wheeled.car, 10, (backdrops.street, backdrops.street, backdrops.meadow)),
    "cat": Kind(pets.cat, 12, (backdrops.room, backdrops.meadow)),
    "chair": Kind(indoor.chair, 10, (backdrops.room,)),
    "cow": Kind(livestock.cow, 10, (backdrops.meadow,)),
    "diningtable": Kind(indoor.diningtable, 7, (backdrops.room,)),
    "dog": Kind(pets.dog, 12, (backdrops.meadow, backdrops.room, backdrops.street)),
    "horse": Kind(livestock.horse, 12, (backdrops.meadow,)),
    "motorbike": Kind(wheeled.motorbike, 12, _OUTDOORS),
    "person": Kind(person, 12, (*_OUTDOORS, backdrops.room)),
    "pottedplant": Kind(indoor.pottedplant, 10, (backdrops.room, backdrops.texture)),
    "sheep": Kind(livestock.sheep, 10, (backdrops.meadow,)),
    "sofa": Kind(indoor.sofa, 7, (backdrops.room,)),
    "train": Kind(wheeled.train, 8, _OUTDOORS),
    "tvmonitor": Kind(indoor.tvmonitor, 10, (backdrops.room, backdrops.texture)),
}

CATALOGUE: tuple[Kind, ...] = tuple(_KINDS[name] for name in VOC_CLASSES[1:])
"""All kinds in the order of the classes; the class index of ``CATALOGUE[i]`` is ``i + 1``."""
