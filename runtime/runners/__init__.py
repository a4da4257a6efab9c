"""Backends behind one seam, the `Runner`."""
