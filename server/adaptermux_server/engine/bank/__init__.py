"""Rows of different adapters in one forward: nothing is switched."""
