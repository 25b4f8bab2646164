"""Runs of other people's making: a command, or a Python function, in the place of the built-in trainer. No torch."""
