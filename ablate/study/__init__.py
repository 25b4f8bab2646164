"""WHAT is run: studies, recipes, arms and runs as plain values. No torch, no SQL."""
