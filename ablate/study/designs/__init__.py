"""From factors and seeds to arms and runs."""
