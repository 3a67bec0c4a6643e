"""A project for eyes: pages, contact sheets, plots."""
