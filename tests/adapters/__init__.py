"""Adapters as files (good, bad and hostile ones) and their life from load to unload."""
