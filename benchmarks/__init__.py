"""Benchmarks against the targets that the project has set itself; run `python -m benchmarks --help`."""
