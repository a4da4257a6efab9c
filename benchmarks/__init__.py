"""Benchmarks: what is measured, how, and the results that were measured."""

from ..datasets.confusion import ConfusionMatrix as ConfusionMatrix

__all__ = ["ConfusionMatrix"]
