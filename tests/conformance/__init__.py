"""One table of calls and outcomes that every language's client is run against; README.md has the format."""
