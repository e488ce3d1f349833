"""The Python client and the command line against a small fake server on loopback."""
