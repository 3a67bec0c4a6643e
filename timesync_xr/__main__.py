"""``python -m timesync_xr`` is the command ``timesync-xr``."""

from .cli.main import run

run()
