"""Optimizers by `optimizer.name`: one file each."""
