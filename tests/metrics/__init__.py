"""Tests of adaptermux_server.metrics."""
