"""Plain frozen values that all layers share: studies, runs, metrics, trials."""
