"""The seeds of a study: which replicates every arm has."""

from __future__ import annotations

from typing import TypeGuard

from ablate.study.document.problems import Problems, show
from ablate.study.document.source import Key

MAX_SEEDS = 100_000
LARGEST = 2**31


def read_seeds(problems: Problems, key: Key, value: object) -> tuple[int, ...]:
    """A number of seeds from 1 (3 is 0, 1, 2), or a list of different ones; a problem and (0,) where it is neither."""
    seeds = seeds_of(value)
    if seeds is None:
        problems.add(key, "wrong-value", seeds_message(value))
    return seeds or (0,)


def seeds_of(value: object) -> tuple[int, ...] | None:
    """The seeds that a number or a list means, None where it means none."""
    if _whole(value):
        return tuple(range(value)) if 1 <= value <= MAX_SEEDS else None
    if not isinstance(value, list | tuple) or not 1 <= len(value) <= MAX_SEEDS:
        return None
    if not all(_whole(seed) and 0 <= seed < LARGEST for seed in value) or len(set(value)) < len(value):
        return None
    return tuple(value)


def seeds_message(value: object) -> str:
    return (
        f"must be a number of seeds from 1 to {MAX_SEEDS:,}, or a list of different whole numbers from 0; "
        f"not {show(value)}."
    )


def _whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)
