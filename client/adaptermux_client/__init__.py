"""AdapterMux client."""
