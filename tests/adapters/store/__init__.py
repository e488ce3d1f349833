"""What survives a restart: contents, the database, the lock."""
