"""Train the example adapters from public data: `python -m examples.train --help`."""
