"""Runners: what computes a class map, one file per backend, behind one seam."""

from __future__ import annotations

from .opening import Backend as Backend
from .opening import Provider as Provider
from .opening import open_runner as open_runner
from .runner import Runner as Runner

__all__ = ["Backend", "Provider", "Runner", "open_runner"]
