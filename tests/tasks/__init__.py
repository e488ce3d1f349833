"""Tests of adaptermux_server.tasks."""
