"""Tools of the repository: each runs as `python -m scripts.NAME`."""
