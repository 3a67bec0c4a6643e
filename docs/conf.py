"""Settings of Sphinx; `make docs` builds the site strictly."""

from importlib.metadata import version as installed_version
from typing import Any

import click
from sphinx.application import Sphinx
from sphinx.ext.napoleon import NumpyDocstring

project = "timesync_xr"
author = "timesync_xr developers"
copyright = author
release = version = installed_version("timesync-xr")

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_click",
]
autosummary_generate = False  # the tables lead to the pages of each task
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True  # "Selection()", not all of its fields
autodoc_typehints = "signature"
default_role = None  # `name` in a docstring is a name, wherever it is defined
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
nitpicky = True
nitpick_ignore_regex = [("py:class", ".*")]  # types of other libraries, whose sites are elsewhere
exclude_patterns = ["_build"]

nb_execution_mode = "off"  # make docs has run them
smartquotes = False  # it makes a dash of the two hyphens of an option

html_theme = "furo"
html_title = f"timesync_xr {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]


def _sections(_: Sphinx, what: str, *rest: Any) -> None:
    """Make the sections of docstrings; the extension itself takes "a: b" of a value for a type."""
    lines = rest[-1]
    if what in {"function", "method", "class"}:
        lines[:] = NumpyDocstring(list(lines)).lines()


def _examples(_: Sphinx, __: click.Context, lines: list[str]) -> None:
    """Make code of the examples of a command, of which the extension makes a block of lines."""
    made: list[str] = []
    in_code = False
    for line in lines:
        if line.startswith("| ") and line.endswith(":"):  # "Examples:", "Try it:"
            in_code = True
            made += [line[2:], "", ".. code-block:: text", ""]
        elif in_code and line.startswith("| "):
            made.append(f"   {line[2:]}")
        else:
            in_code = False
            made.append(line)
    lines[:] = made


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", _sections)
    app.connect("sphinx-click-process-description", _examples)
