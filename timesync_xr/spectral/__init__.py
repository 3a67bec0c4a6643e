"""From digital numbers to values, flags, indices, pictures and series; pure functions."""
