"""Recipes of the built-in trainer: their fields, what has no effect, and the text that is hashed."""
