"""HOW one run is trained: torch lives here, and only here."""
