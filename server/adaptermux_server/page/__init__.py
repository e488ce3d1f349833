"""HTTP at the metrics address: metrics, health, and a page that shows the server at work; all of it only reads.

`application` puts the parts together, `server` binds them. What it shows is handed in as callables and values, so it
knows no gRPC.
"""
