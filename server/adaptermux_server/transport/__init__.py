"""gRPC: the only package that sees messages, statuses and metadata."""
