"""The model and the one thread that owns it."""
