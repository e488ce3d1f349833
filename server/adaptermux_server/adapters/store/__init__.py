"""What survives a restart: the content of adapters, and what is registered of them. Blocking, for worker threads."""
