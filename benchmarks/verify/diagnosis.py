"""Which mistake would explain a deployed model that is not the PyTorch model any more?

Each known mistake is made on purpose in PyTorch; the one whose class maps are the deployed ones, up to ties, is named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ...export.ties import flip_margins
from ...runtime.spec import Precision
from .flip_margins import tie_limit
from .hop import Evidence, Hop
from .hypothesis import Hypothesis
from .mistakes_input import input_mistakes, with_preprocessing
from .mistakes_network import half_precision_mistake, network_mistakes, pools_round
from .mistakes_output import class_order, exchanged_classes, output_mistakes
from .reference import Reference
from .weights import WeightFindings, examine_weights

_EXPLAINED = 0.1  # of the faults may remain
_EXPLAINED_EQUAL = 0.95  # of the pixels must then be equal
_SMALL = 200 * 200  # pixels of a frame on which many hypotheses can be tried quickly
_LEAST_SIDE = 16  # pixels; strips and single pixels tell little
_CONFIRMED_ON = 4  # frames
_SHORTLIST = 4


@dataclass(frozen=True)
class Finding:
    """How well a hypothesis explains what a stage returns.

    Attributes:
        text: The mistake: ``red and blue swapped``.
        tried: How it was tried: ``with the channels exchanged``.
        equal: Share of pixels that are then equal.
        equal_before: Share of the same pixels that are equal to PyTorch without the mistake.
        faults: Share of pixels that then still differ without being ties.
        faults_before: The same without the mistake.
    """

    text: str
    tried: str
    equal: float
    equal_before: float
    faults: float
    faults_before: float

    @property
    def explains(self) -> bool:
        """Whether the mistake is as good as proved: what remains is hardly more than ties."""
        return (
            self.faults <= _EXPLAINED * self.faults_before
            and self.equal >= _EXPLAINED_EQUAL
            and self.equal > self.equal_before
        )

    def __str__(self) -> str:
        return (
            f"{self.text} ({100 * self.equal:.4g} % of pixels equal {self.tried}, "
            f"{100 * self.equal_before:.4g} % without)"
        )


@dataclass(frozen=True)
class Diagnosis:
    """What was found.

    Attributes:
        best: The hypothesis that explains most; None if there was nothing to try it on.
        tried: How many hypotheses were tried.
        foreign: The two hashes, if the stage says that it was made from another checkpoint than the reference.
        floor_pools: Whether it fails at every size at which a pool has to round, and at no other.
        only_class: Name of the class that the stage finds in every pixel; None if it finds several.
        weights: The weights in the stage's ONNX file; None if they were not looked at.
        only_outputs: Outputs that are wrong although the class map is right.
    """

    best: Finding | None
    tried: int
    foreign: tuple[str, str] | None = None
    floor_pools: bool = False
    only_class: str | None = None
    weights: WeightFindings | None = None
    only_outputs: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.weights is not None and self.weights.not_finite:
            return f"damaged weights: {_named(self.weights.not_finite)} not finite (NaN or infinity)"
        if self.only_outputs:
            return f"the class map is right and {_named(self.only_outputs)} not: look behind the class scores"
        if self.floor_pools:
            return (
                "looks like: floor instead of ceil pools (it fails at every size at which a pool has to round, and "
                "runs at all others)"
            )
        if self.foreign is not None and (self.best is None or not self.best.explains):
            theirs, ours = self.foreign
            return (
                f"looks like: made from another checkpoint (it says sha256 {theirs[:12]}…, "
                f"the reference is {ours[:12]}…, and no known mistake explains the differences)"
            )
        if self.weights is not None and self.weights.altered and (self.best is None or not self.best.explains):
            return (
                f"altered weights: {_named(self.weights.altered)} not the checkpoint's "
                f"({len(self.weights.altered)} of {self.weights.compared} differ)"
            )
        if self.best is None:
            return "unexplained: no frame that differs could be examined"
        if self.best.explains and self.only_class is not None:
            return (
                f"looks like: {self.best}; but every pixel is {self.only_class}, and a dead layer or a wrong bias does "
                "the same"
            )
        if self.best.explains:
            return f"looks like: {self.best}"
        unexplained = f"unexplained by any of {self.tried} known mistakes"
        if self.best.faults < self.best.faults_before:
            return f"{unexplained}; the nearest is: {self.best}"
        return f"{unexplained}, none of which comes nearer to it"


def diagnose(reference: Reference, hop: Hop) -> Diagnosis:
    """Name the mistake behind a broken hop, if it is a known one.

    Args:
        reference: The PyTorch module.
        hop: What was found between it and the deployed model.
    """
    weights = None if hop.onnx is None else examine_weights(hop.onnx, reference.checkpoint)
    if weights is not None and weights.not_finite:
        return Diagnosis(best=None, tried=0, weights=weights)
    if not hop.faults and not hop.failures and hop.wrong_outputs:
        return Diagnosis(best=None, tried=0, only_outputs=tuple(hop.wrong_outputs))
    trial = _Trial(reference, hop.precision)
    evidence = _chosen(hop.evidence)
    said, expected = hop.checkpoint_sha256, reference.checkpoint.sha256
    foreign = None if said is None or said == expected else (said, expected)
    if not evidence:
        floor_pools = _fails_where_pools_round(reference, hop)
        return Diagnosis(best=None, tried=0, foreign=foreign, floor_pools=floor_pools, weights=weights)
    best, tried = _best(trial, _known_mistakes(reference, hop), evidence)
    if not best.explains:
        searched = list(_searched_mistakes(trial, reference, evidence[0]))
        tried += len(searched)
        best = min((best, *(trial(hypothesis, evidence) for hypothesis in searched)), key=_remaining)
    only_class = _only_class(reference, hop.evidence)
    return Diagnosis(best=best, tried=tried, foreign=foreign, only_class=only_class, weights=weights)


def _named(names: Sequence[str]) -> str:
    """Some of the names as a subject with its verb."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{', '.join(names[:3])}{more} {'is' if len(names) == 1 else 'are'}"


class _Trial:
    """Tries hypotheses on frames."""

    def __init__(self, reference: Reference, precision: Precision) -> None:
        self._precision = precision
        self._reference = reference
        self._right = Hypothesis("nothing", reference.logits, "as it is")

    def __call__(self, hypothesis: Hypothesis, evidence: Sequence[Evidence]) -> Finding:
        equal, faults = self._shares(hypothesis, evidence)
        equal_before, faults_before = self._shares(self._right, evidence)
        return Finding(hypothesis.text, hypothesis.tried, equal, equal_before, faults, faults_before)

    def _shares(self, hypothesis: Hypothesis, evidence: Sequence[Evidence]) -> tuple[float, float]:
        """Shares of pixels that are equal, and that differ without being ties; each frame counts the same."""
        shares = np.array([self._frame_shares(hypothesis, item) for item in evidence])
        equal, faults = shares.mean(0)
        return float(equal), float(faults)

    def _frame_shares(self, hypothesis: Hypothesis, item: Evidence) -> tuple[float, float]:
        try:
            logits = hypothesis.predict(item.frame)
        except RuntimeError:  # with this mistake, this network cannot be computed at this size
            return 0.0, 1.0
        class_map = item.class_map
        if logits.shape[1:] != class_map.shape or int(class_map.max()) >= len(logits):
            return 0.0, 1.0
        told = ~np.isnan(logits[0])
        if not told.any():
            return 0.0, 1.0
        certain = np.where(told, logits, 0)
        equal = (certain.argmax(0) == class_map)[told]
        # What rounding explains is a property of the network, not of the mistake: an overflow explains nothing.
        half_logits = self._reference.half_logits(item.frame)
        limit = tie_limit(self._reference.logits(item.frame), self._precision, half_logits)
        with np.errstate(invalid="ignore"):  # infinity less infinity
            faults = ~equal & ~(flip_margins(certain, class_map)[told] <= limit)
        return float(equal.mean()), float(faults.mean())


def _chosen(evidence: Iterable[Evidence]) -> list[Evidence]:
    """Frames to try hypotheses on: small ones first, because there are many hypotheses."""
    ranked = sorted(evidence, key=lambda item: (item.frame[..., 0].size > _SMALL, -item.frame[..., 0].size))
    usable = [item for item in ranked if min(item.frame.shape[:2]) >= _LEAST_SIDE] or ranked
    return usable[:_CONFIRMED_ON]


def _only_class(reference: Reference, evidence: Iterable[Evidence]) -> str | None:
    """The class that is all there is in the class maps: such maps tell little of what is wrong."""
    found = {int(index) for item in evidence for index in np.unique(item.class_map)}
    names = reference.checkpoint.class_names
    return names[min(found)] if len(found) == 1 and min(found) < len(names) else None


def _fails_where_pools_round(reference: Reference, hop: Hop) -> bool:
    """Whether the sizes at which a stage fails are those at which pools that round down lack a row or column."""
    # Strips and single pixels tell little: where nothing is left of a map, backends do what they like.
    run, failed = ({size for size in sizes if min(size.height, size.width) >= _LEAST_SIDE} for sizes in hop.sizes)
    return (
        bool(run and failed)
        and all(pools_round(reference, size) for size in failed)
        and not any(pools_round(reference, size) for size in run)
    )


def _known_mistakes(reference: Reference, hop: Hop) -> Iterator[Hypothesis]:
    classes = exchanged_classes(hop.agreement.counts)
    yield from input_mistakes(reference)
    yield from network_mistakes(reference, classes)
    yield from output_mistakes(reference, classes, class_order(hop.agreement.counts))
    if hop.precision == "fp16":
        yield half_precision_mistake(reference)


def _best(trial: _Trial, hypotheses: Iterable[Hypothesis], evidence: Sequence[Evidence]) -> tuple[Finding, int]:
    """The hypothesis that leaves fewest faults, and how many were tried: all on one frame, the best few on all."""
    tried: list[tuple[Finding, Hypothesis]] = []
    for hypothesis in hypotheses:
        finding = trial(hypothesis, evidence[:1])
        tried.append((finding, hypothesis))
        if finding.explains and finding.faults == 0:
            confirmed = trial(hypothesis, evidence)
            if confirmed.explains and confirmed.faults == 0:  # nothing can be better
                return confirmed, len(tried)
    tried.sort(key=lambda entry: _remaining(entry[0]))
    return min((trial(hypothesis, evidence) for _, hypothesis in tried[:_SHORTLIST]), key=_remaining), len(tried)


def _remaining(finding: Finding) -> tuple[float, float]:
    return finding.faults, -finding.equal


def _searched_mistakes(trial: _Trial, reference: Reference, item: Evidence) -> Iterator[Hypothesis]:
    """Means and scales that nobody would guess, found by going where the faults become fewer."""
    right = reference.preprocessing

    def with_mean(offset: tuple[float, ...]) -> Hypothesis:
        mean = (right.mean[0] + offset[0], right.mean[1] + offset[1], right.mean[2] + offset[2])
        text = ", ".join(f"{value:+.3g}" for value in offset)
        return Hypothesis(
            f"mean off by {text} ({right.channel_order.upper()}, of 255)",
            with_preprocessing(reference, mean=mean),
            "with that mean",
        )

    def with_scale(log2: tuple[float, ...]) -> Hypothesis:
        factor = 2.0 ** log2[0]
        scale = (right.scale[0] * factor, right.scale[1] * factor, right.scale[2] * factor)
        return Hypothesis(
            f"scale off by a factor of {factor:.3g}", with_preprocessing(reference, scale=scale), "with that scale"
        )

    def remaining(hypothesis: Hypothesis) -> tuple[float, float]:
        return _remaining(trial(hypothesis, [item]))

    together = _descend(lambda x: remaining(with_mean((x[0],) * 3)), (0.0,), step=32.0, smallest=2.0)
    apart = _descend(lambda x: remaining(with_mean(x)), together * 3, step=8.0, smallest=0.5)
    if any(apart):
        yield with_mean(apart)
    log2 = _descend(lambda x: remaining(with_scale(x)), (0.0,), step=4.0, smallest=1 / 32)
    if any(log2):
        yield with_scale(log2)


def _descend(
    cost: Callable[[tuple[float, ...]], tuple[float, float]], start: tuple[float, ...], *, step: float, smallest: float
) -> tuple[float, ...]:
    """Pattern search: a step along each axis while that helps, then smaller steps."""
    best, lowest = start, cost(start)
    while step >= smallest:
        candidates = [
            tuple(value + sign * step * (i == axis) for i, value in enumerate(best))
            for axis in range(len(start))
            for sign in (1, -1)
        ]
        costs = [cost(candidate) for candidate in candidates]
        index = min(range(len(costs)), key=costs.__getitem__)
        if costs[index] < lowest:
            best, lowest = candidates[index], costs[index]
        else:
            step /= 2
    return best
