"""The command ``timesync-xr``: arguments to one call, one line of report."""
