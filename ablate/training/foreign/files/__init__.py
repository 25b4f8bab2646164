"""Numbers out of files that a script writes into its run's folder: tables, JSON, YAML, TensorBoard events. No torch."""
