"""A project as a static site: the list of its plots, and a page of chips and trajectories each."""

from .site import Site, browse

__all__ = ["Site", "browse"]
