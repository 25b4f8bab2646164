"""Plain frozen values that every room shares: studies, runs, metrics, trials."""
