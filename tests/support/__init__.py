"""Builders that several test packages share."""
