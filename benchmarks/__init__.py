"""Benchmarks: what is measured, how, and the results that were measured."""
