"""The version of the whole distribution, stated here alone."""

__version__ = "0.1.0"
