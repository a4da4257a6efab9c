"""Benchmarks: what is measured, how, and the results that were measured."""

from .confusion import ConfusionMatrix as ConfusionMatrix

__all__ = ["ConfusionMatrix"]
