"""Tests of the engine package on tiny models."""
