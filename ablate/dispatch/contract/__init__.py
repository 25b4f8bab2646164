"""What executors, workers and those who ask for a grid agree on."""
