"""Runnable examples: adapters trained on public data, and clients that use them."""
