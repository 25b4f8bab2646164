"""Where the trainer gets its data: the one place that knows `ablate.training.data` and the folders it reads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ablate.study.recipes import places
from ablate.study.recipes.recipe import Data
from ablate.training import data
from ablate.training.data import DataSplits, Split

__all__ = ["DataSplits", "Split", "data", "home", "load_data"]


def load_data(wanted: Data, seed: int, options: Mapping[str, Any]) -> DataSplits:
    """The splits of `wanted`; `options` may name `home` and `data_root`, else ABLATE_HOME and ABLATE_DATA do."""
    root = Path(str(options.get("data_root") or places.data_root()))
    return data.load_data(wanted, seed, home=home(options), data_root=root)


def home(options: Mapping[str, Any]) -> Path:
    """The folder of caches and weights."""
    return Path(str(options.get("home") or places.home()))
