"""How fast timesync_xr is, beside its peers and what the machine allows: ``make bench``."""
