"""A small self-made archive to try everything on: COGs, items and a plot list."""

from .archive import SamplePaths, make_sample

__all__ = ["SamplePaths", "make_sample"]
