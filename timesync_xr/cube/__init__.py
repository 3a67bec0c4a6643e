"""From items to the lazy cube (time, band, y, x) of a plot."""
