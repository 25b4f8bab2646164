"""Losses by `loss.name`: one file each."""
