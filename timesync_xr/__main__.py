"""``python -m timesync_xr`` is the command ``timesync-xr``."""

from .cli import main

main(prog_name="timesync-xr")
