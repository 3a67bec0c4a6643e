"""Sources of items, and the table of items that is made of what they answer."""
