"""Runs that stand under one name and are not of one kind: other data, or other arithmetic in the middle of a training."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence

from ablate.study.records import RunResult
from ablate.study.values.recipe import AnyRecipe

DIGITS = 8
"""So much of a data digest is shown."""

_DATA = ("name", "path", "image_size")
"""What of a recipe's `data` the digest of the decoded images follows from; split and share are drawn from them."""

_SEEDS = 8  # seeds that a note spells out


def digest_of(result: RunResult) -> str | None:
    """The SHA-256 of the images and labels that a run read; None where its trainer tells none."""
    data = result.details.get("data")
    digest = data.get("digest") if isinstance(data, Mapping) else None
    return str(digest) if digest else None


def data_asked(recipe: AnyRecipe) -> str:
    """The data that a recipe names: runs of the same text have to read the same."""
    data = recipe.get("data")
    return json.dumps([data.get(key) for key in _DATA] if isinstance(data, Mapping) else data, default=str)


def why_mixed(results: Sequence[tuple[int, RunResult]]) -> str:
    """Why the runs of one arm, (seed, done result) each, are no replicates of each other; empty where they are.

    `data 1a2b3c4d (seeds 0, 1) and 9f8e7d6c (seeds 2, 3)`; `seed 1 resumed under other numerics (1 threads, then 2
    threads)`.
    """
    reasons = []
    by_digest: dict[str, list[int]] = {}
    for seed, result in results:
        digest = digest_of(result)
        if digest is not None:
            by_digest.setdefault(digest, []).append(seed)
    if len(by_digest) > 1:
        said = [f"{digest[:DIGITS]} ({seeds_text(seeds)})" for digest, seeds in by_digest.items()]
        reasons.append(f"data {', '.join(said[:-1])} and {said[-1]}")
    for seed, result in results:
        prints = result.details.get("mixed_fingerprints")
        if isinstance(prints, Sequence) and not isinstance(prints, str) and len(prints) > 1:
            # the trainer puts what it ended with first
            reasons.append(f"seed {seed} resumed under other numerics ({', then '.join(differing(prints[::-1]))})")
    return "; ".join(reasons)


def seeds_text(seeds: Sequence[int]) -> str:
    """`seed 3`, `seeds 0, 1`, `seeds 0, 1, 2, 3, 4, 5, 6, 7 and 12 more`."""
    shown = ", ".join(map(str, seeds[:_SEEDS]))
    more = f" and {len(seeds) - _SEEDS} more" if len(seeds) > _SEEDS else ""
    return f"seed{'s' if len(seeds) > 1 else ''} {shown}{more}"


def differing(fingerprints: Iterable[str]) -> list[str]:
    """Of each fingerprint, which is parts joined by commas, only the parts that not all of them have."""
    split = [str(text).split(", ") for text in fingerprints]
    common = set.intersection(*map(set, split))
    return [", ".join(part for part in parts if part not in common) or "the rest" for parts in split]
