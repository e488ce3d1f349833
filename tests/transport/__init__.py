"""Tests of adaptermux_server.transport."""
