"""What is told beside a result: that pages were removed, that a run came out equal. The command line prints it; a program that uses
ablate as a library sees it where it listens to this logger."""

from __future__ import annotations

import logging

LOGGER = logging.getLogger("ablate.project")


def tell(message: str) -> None:
    """A sentence to whoever listens."""
    LOGGER.info("%s", message)
