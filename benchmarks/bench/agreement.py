"""Whether a measured network is still the network it is compared with: the verdict of `fcnrt bench`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..tolerance import TOLERANCES
from .report import BenchReport, Member


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How far a member agrees with the one it is compared with.

    Attributes:
        member: The member.
        mean_iou: Its mean IoU minus the other's, in points; None without ground truth.
        worst_class: Name of the class that loses most, and its IoU minus the other's in points; None without ground
            truth.
        complaints: What is out of tolerance, each as half a sentence; empty if it matches.
    """

    member: Member
    mean_iou: float | None
    worst_class: tuple[str, float] | None
    complaints: tuple[str, ...]


def agreements(report: BenchReport) -> list[Agreement]:
    """The agreement of every member of fcnrt's that holds the same network as the one it is compared with."""
    return [
        found
        for member in report.members
        if member.role == "fcnrt" and member.same_network and (found := agreement_of(report, member)) is not None
    ]


def agreement_of(report: BenchReport, member: Member) -> Agreement | None:
    """The agreement of a member with the one it is compared with; None if there is none, or accuracy is not known."""
    if member.compared_with is None:
        return None
    own, other = report.accuracy_of(member.name), report.accuracy_of(member.compared_with)
    if own is None or other is None:
        return None
    tolerance = TOLERANCES[member.precision]  # type: ignore[index]  # a Precision, kept as text in the report
    complaints = []
    if own.pixels and own.equal_share < tolerance.equal_share:
        complaints.append(f"{100 * (1 - own.equal_share):.3g} % of the pixels have another class")
    if own.faults is not None and own.faults > tolerance.fault_share * own.pixels:
        complaints.append(f"{own.faults:,} of {own.pixels:,} pixels differ without being ties")
    mean_difference, worst = None, None
    own_matrix, other_matrix = own.confusion(), other.confusion()
    if own_matrix is not None and other_matrix is not None:
        mean_difference = 100 * (own_matrix.mean_iou("gt_present") - other_matrix.mean_iou("gt_present"))
        if abs(mean_difference) > tolerance.mean_iou:
            complaints.append(f"mIoU {mean_difference:+.2f} points")
        differences = 100 * (own_matrix.iou() - other_matrix.iou())  # (classes,)
        differences[other_matrix.counts.sum(1) == 0] = np.nan  # a class that is true nowhere has no score
        if np.isfinite(differences).any():
            index = int(np.nanargmin(differences))
            worst = (report.class_names[index], float(differences[index]))
            if worst[1] < -tolerance.class_iou:
                complaints.append(f"{worst[0]} {worst[1]:+.2f} points")
    return Agreement(member=member, mean_iou=mean_difference, worst_class=worst, complaints=tuple(complaints))


def verdict(report: BenchReport) -> tuple[bool, str]:
    """Whether every backend matches what it is compared with, and the sentence that says so."""
    judged = agreements(report)
    wrong = [found for found in judged if found.complaints]
    if wrong:
        worst = "; ".join(f"{found.member.name}: {', '.join(found.complaints)}" for found in wrong)
        return False, f"does not match {wrong[0].member.compared_with}: {worst}"
    if not judged:
        return True, "nothing was compared with PyTorch: speed alone was measured"
    others = dict.fromkeys(found.member.compared_with for found in judged)
    what = f"every backend matches {' and '.join(map(str, others))}"
    foreign = [m.name for m in report.members if m.role == "fcnrt" and m.compared_with and not m.same_network]
    unjudged = f"; not judged, because exported from other weights: {', '.join(foreign)}" if foreign else ""
    if all(found.mean_iou is None for found in judged):
        return True, f"{what}: class maps are equal but for ties{unjudged}"
    largest = max(abs(found.mean_iou) for found in judged if found.mean_iou is not None)
    losses = [found.worst_class for found in judged if found.worst_class is not None]
    name, loss = min(losses, key=lambda pair: pair[1], default=("", 0.0))
    detail = f" (worst class: {name} {loss:+.2f})" if loss < -0.005 else ""
    return True, f"{what} within {largest:.2f} points of mIoU{detail}{unjudged}"
