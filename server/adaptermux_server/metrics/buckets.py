"""Bounds of histograms, shared so that panels can lay one above the other."""

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
LONG_SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
"""For what reads files, or fetches them."""
COUNTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
