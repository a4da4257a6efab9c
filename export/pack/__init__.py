"""Folders for whoever builds a model into a product."""
