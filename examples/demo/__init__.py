"""The demo: one server, real adapters for several tasks, real traffic. Run `make demo`."""
