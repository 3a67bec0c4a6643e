"""``python -m timesync_xr`` is the command ``timesync-xr``."""

from .cli import run

run()
