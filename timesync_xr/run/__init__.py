"""From a plot list to a project."""
