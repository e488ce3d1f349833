"""Tests of what the benchmarks reckon with."""
