"""Data sets by `data.name`: one file each."""
