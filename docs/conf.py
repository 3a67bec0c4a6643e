"""Settings of Sphinx; `make docs` builds the site strictly."""

from importlib.metadata import version as installed_version
from typing import Any

from sphinx.application import Sphinx
from sphinx.ext.napoleon import NumpyDocstring

project = "timesync_xr"
author = "timesync_xr developers"
copyright = author
release = version = installed_version("timesync-xr")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx_click",
]
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
default_role = None  # `name` in a docstring is a name, wherever it is defined
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
nitpicky = True
nitpick_ignore_regex = [("py:class", ".*")]  # types of other libraries, whose sites are elsewhere
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = f"timesync_xr {release}"


def _sections(_: Sphinx, what: str, *rest: Any) -> None:
    """Make the sections of docstrings; the extension itself takes "a: b" of a value for a type."""
    lines = rest[-1]
    if what in {"function", "method", "class"}:
        lines[:] = NumpyDocstring(list(lines)).lines()


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", _sections)
