"""AdapterMux server: many PEFT adapters on one shared transformer, over gRPC. ARCHITECTURE.md is the map."""
