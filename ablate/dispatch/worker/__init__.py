"""The worker: claims runs, trains them, records them."""
