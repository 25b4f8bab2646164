"""WHO trains: executors that start workers, and the worker that claims runs and records them."""
