"""Executors whose workers another program starts."""
