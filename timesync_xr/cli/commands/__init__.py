"""The commands of ``timesync-xr``, a module each; they are listed in `timesync_xr.cli.main`."""
