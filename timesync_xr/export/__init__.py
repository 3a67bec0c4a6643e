"""A project in the formats of other programs."""
