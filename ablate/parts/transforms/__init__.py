"""Augmentations that `data.augment` lists: one file each."""
