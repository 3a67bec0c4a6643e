"""Pixels of one file: its header, its blocks, and what was read before."""
