"""Tests of the switch executor and its module trees."""
