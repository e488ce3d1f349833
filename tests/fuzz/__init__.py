"""Input that nobody would write: bytes and messages at the listeners, and files of adapters, by chance."""
