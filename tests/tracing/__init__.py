"""Tests of spans: within a call, of forwards, and on their way to a collector."""
