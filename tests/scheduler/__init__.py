"""Tests of the scheduler: pure parts with times as arguments, the loop with a runner of ours."""
