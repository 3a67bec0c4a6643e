"""Settings of Sphinx; `make docs` builds the site strictly."""

from importlib.metadata import version as installed_version

project = "timesync_xr"
author = "timesync_xr developers"
copyright = author
release = version = installed_version("timesync-xr")

extensions = ["myst_parser"]
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
nitpicky = True
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = f"timesync_xr {release}"
