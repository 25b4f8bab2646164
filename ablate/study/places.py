"""Where things lie, by the environment: read once here, so that planning and training mean the same folders."""

from __future__ import annotations

import os
from pathlib import Path


def home() -> Path:
    """ABLATE_HOME: caches, run folders, logs."""
    return Path(os.environ.get("ABLATE_HOME", "~/.cache/ablate")).expanduser()


def data_root() -> Path:
    """ABLATE_DATA: where data sets lie."""
    return Path(os.environ.get("ABLATE_DATA", "data")).expanduser()
