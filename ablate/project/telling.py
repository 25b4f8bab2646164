"""Messages besides the results, such as that a page was removed. The command line prints them; programs that use ablate as a
library get them from this logger."""

from __future__ import annotations

import logging

LOGGER = logging.getLogger("ablate.project")


def tell(message: str) -> None:
    """Log a message."""
    LOGGER.info("%s", message)
