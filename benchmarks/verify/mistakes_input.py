"""Mistakes before the first layer: colour order, mean, scale, orientation."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ...export.reference import reference_logits
from ...fcn_models.preprocessing import PREPROCESSING, Preprocessing
from .hypothesis import Hypothesis, Predict
from .reference import Reference

_Triple = tuple[float, float, float]


def input_mistakes(reference: Reference) -> Iterator[Hypothesis]:
    """Everything that can go wrong with a frame on its way into the network."""
    yield from _colour_mistakes(reference)
    yield from _mean_and_scale_mistakes(reference)
    yield from _orientation_mistakes(reference)


def with_preprocessing(reference: Reference, *, mean: _Triple | None = None, scale: _Triple | None = None) -> Predict:
    """The network with another mean or scale, in the channel order it was trained on."""
    right = reference.preprocessing
    wrong = dataclasses.replace(right, mean=mean or right.mean, scale=scale or right.scale)
    return lambda frame: reference_logits(reference.checkpoint.model, wrong, frame[None])[0]


def _colour_mistakes(reference: Reference) -> Iterator[Hypothesis]:
    right = reference.preprocessing
    yield Hypothesis(
        "red and blue swapped",
        lambda frame: reference.logits(np.ascontiguousarray(frame[..., ::-1])),
        "with the channels exchanged",
    )
    yield Hypothesis(
        "mean in the wrong channel order",
        with_preprocessing(reference, mean=right.mean[::-1]),
        "with red's and blue's mean exchanged",
    )
    only_statistics = with_preprocessing(reference, mean=right.mean[::-1], scale=right.scale[::-1])
    yield Hypothesis(
        "mean and scale in the wrong channel order", only_statistics, "with red's and blue's mean and scale exchanged"
    )
    yield Hypothesis(
        "red and blue swapped after the mean was subtracted",
        lambda frame: only_statistics(np.ascontiguousarray(frame[..., ::-1])),
        "with the channels exchanged behind the mean and scale",
    )


def _mean_and_scale_mistakes(reference: Reference) -> Iterator[Hypothesis]:
    right = reference.preprocessing

    def times(values: _Triple, factor: float) -> _Triple:
        return (values[0] * factor, values[1] * factor, values[2] * factor)

    means: dict[str, _Triple] = {
        "the mean is not subtracted": (0.0, 0.0, 0.0),
        "the mean is in 0..1 where pixels are in 0..255": times(right.mean, 1 / 255),
        "the mean is 127.5 for every channel": (127.5, 127.5, 127.5),
    }
    scales: dict[str, _Triple] = {
        "the scale is not applied": (1.0, 1.0, 1.0),
        "pixels are divided by 255 twice": times(right.scale, 1 / 255),
        "pixels are not divided by 255": times(right.scale, 255.0),
        "pixels are divided by 255 only, not by the standard deviation": (1 / 255, 1 / 255, 1 / 255),
        "pixels are scaled to -1..1": (1 / 127.5, 1 / 127.5, 1 / 127.5),
    }
    for text, mean in means.items():
        if mean != right.mean:
            yield Hypothesis(f"mean off: {text}", with_preprocessing(reference, mean=mean), f"with mean {_say(mean)}")
    for text, scale in scales.items():
        if scale != right.scale:
            yield Hypothesis(
                f"scale off: {text}", with_preprocessing(reference, scale=scale), f"with scale {_say(scale)}"
            )
    for name, other in PREPROCESSING.items():
        if other != right:
            yield Hypothesis(f"pre-processing of {name}", _preprocessed_as(reference, other), f"with that of {name}")


def _preprocessed_as(reference: Reference, other: Preprocessing) -> Predict:
    return lambda frame: reference_logits(reference.checkpoint.model, other, frame[None])[0]


def _orientation_mistakes(reference: Reference) -> Iterator[Hypothesis]:
    def turned(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return np.ascontiguousarray(frame.swapaxes(0, 1))

    def reinterpreted(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        height, width, channels = frame.shape
        return frame.reshape(width, height, channels)

    text = "height and width swapped"
    yield Hypothesis(
        text, lambda frame: reference.logits(turned(frame)).swapaxes(1, 2), "with the frame turned before the network"
    )
    yield Hypothesis(
        text,
        lambda frame: reference.logits(reinterpreted(frame)).reshape(-1, *frame.shape[:2]),
        "with rows of the frame's height instead of its width",
    )
    yield Hypothesis(
        f"{text} in the class map", lambda frame: reference.logits(frame).swapaxes(1, 2), "with the class map turned"
    )
    yield Hypothesis(
        f"{text} in the class map",
        lambda frame: np.ascontiguousarray(reference.logits(frame).swapaxes(1, 2)).reshape(-1, *frame.shape[:2]),
        "with the class map written column by column",
    )
    yield Hypothesis(
        f"{text} in the frame",
        lambda frame: reference.logits(turned(frame)),
        "with the frame turned and not turned back",
    )
    yield Hypothesis(
        "the frame is upside down",
        lambda frame: reference.logits(np.ascontiguousarray(frame[::-1]))[:, ::-1],
        "with the frame's rows in reverse",
    )
    yield Hypothesis(
        "the frame is mirrored",
        lambda frame: reference.logits(np.ascontiguousarray(frame[:, ::-1]))[:, :, ::-1],
        "with the frame's columns in reverse",
    )


def _say(values: _Triple) -> str:
    return ", ".join(f"{value:.4g}" for value in values)
