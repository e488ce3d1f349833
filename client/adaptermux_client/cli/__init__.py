"""The command line `adaptermux`. It knows the clients and nothing of the server, which plugs in `serve`."""

from adaptermux_client.cli.app import main

__all__ = ["main"]
