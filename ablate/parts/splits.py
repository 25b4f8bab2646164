"""The three parts of a data set, and what people call them."""

from __future__ import annotations

from collections.abc import Mapping

SPLITS = ("train", "val", "test")
SPLIT_WORDS: Mapping[str, str] = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "validation", "valid", "dev", "eval"), "val"),
    "test": "test",
}
"""What people call the splits, in lower case, and which split each word means."""
