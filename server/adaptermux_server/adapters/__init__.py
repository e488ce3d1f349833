"""Adapters as files and as registered things: reading, checking, and their life from load to unload."""
