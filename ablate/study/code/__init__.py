"""Which code a result came from."""
