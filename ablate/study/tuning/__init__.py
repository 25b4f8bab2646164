"""Tuning files: which arms are tuned, over what."""
