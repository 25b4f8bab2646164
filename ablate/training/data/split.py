"""Which image is trained on and which is reported: official parts or stratified draws, and nested subsets of train.

Every image gets two numbers from the stream (seed, "split"), by its id. The first orders a class before it is cut into
parts, the second ranks the training images for `fraction` and `limit`. So the draw is the same in every arm of a
replicate, an unreadable image moves no other, and neither `fraction`, `limit` nor `image_size` moves an image from one
part to another.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ablate.errors import BadData
from ablate.parts import streams
from ablate.parts.reading.source import PARTS, WHOLE, Labels, some
from ablate.training.data.cache import Decoded, writing

FRACTIONS = "{train: 0.8, val: 0.2}"
Rows = dict[str, Labels]
"""Part to row numbers, ascending."""


def split_rows(decoded: Decoded, spec: Any, seed: int, name: str, unlabelled: Mapping[str, str] | None = None) -> Rows:
    """The rows of train and of val and test where they exist; `spec` is the recipe's `data.split`.

    `unlabelled` maps parts that are left out to their folders' names, for messages. No part comes out empty.

    `official`: the set's own parts. Fractions: of all images, whatever their official part. `{val: 0.1, test:
    official}`: val is cut from the official training images, the official test set is reported, an official val is left
    unused.
    """
    everything = np.arange(len(decoded.labels))
    if spec == "official":
        _require(decoded, name, {"train"}, unlabelled)
        if "val" not in decoded.parts and "test" not in decoded.parts:
            _require(decoded, name, {"val", "test"}, unlabelled)
        rows = {part: everything[slice(*decoded.parts[part])] for part in PARTS if part in decoded.parts}
        _refuse_unreadable(decoded, name, rows)
        _refuse_missing_classes(decoded, rows, name)
        return rows
    keys = draws(decoded.ids, seed)[0]
    if spec.get("test") == "official":
        _require(decoded, name, {"train", "test"}, unlabelled)
        _refuse_unreadable(decoded, name, decoded.parts)
        pool, shares = everything[slice(*decoded.parts["train"])], {"train": 1 - spec["val"], "val": spec["val"]}
        return {**_cut(decoded, pool, shares, keys, name), "test": everything[slice(*decoded.parts["test"])]}
    return _cut(decoded, everything, spec, keys, name)


def draws(ids: Labels, seed: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Two uniform numbers for each id, which depend on the seed and the id alone."""
    numbers = torch.rand(int(ids.max()) + 1, 2, generator=streams.generator(seed, "split"), dtype=torch.float64).numpy()
    return numbers[ids, 0], numbers[ids, 1]


def _require(decoded: Decoded, name: str, wanted: set[str], unlabelled: Mapping[str, str] | None) -> None:
    missing = [part for part in PARTS if part in wanted and part not in decoded.parts]
    if not missing:
        return
    if WHOLE in decoded.parts:
        raise BadData(
            f"data set {name!r} has no official split, and its {len(decoded.classes)} classes are "
            f"{some(list(decoded.classes))}; give fractions, as in data.split: {FRACTIONS}"
        )
    part = next((part for part in missing if part in (unlabelled or {})), missing[-1])
    folder = (unlabelled or {}).get(part)
    if folder is not None:
        raise BadData(
            f"data set {name!r}: {folder}/ has no class folders, so its images have no labels and cannot be scored; give "
            f"fractions of the labelled images, as in data.split: {FRACTIONS}, and use `ablate predict RUN FOLDER` for "
            f"{folder}/; or put one folder for each class into it"
        )
    raise BadData(
        f"data set {name!r} has no official {part} set (it has {', '.join(decoded.parts)}); "
        f"give fractions, as in data.split: {FRACTIONS}, or 'official'"
    )


def _refuse_unreadable(decoded: Decoded, name: str, parts: Iterable[str]) -> None:
    """A part without one readable image: what `on_bad_image: skip` left of it."""
    for part in parts:
        start, stop = decoded.parts[part]
        if start == stop:
            shown = "; ".join(f"{path} ({reason})" for path, reason in decoded.bad[:3])
            raise BadData(
                f"data set {name!r}: no image of the official {part} set can be decoded ({len(decoded.bad):,} bad images "
                f"in all: {shown}); replace them, or give fractions, as in data.split: {FRACTIONS}"
            )


def _refuse_missing_classes(decoded: Decoded, rows: Rows, name: str) -> None:
    counts = np.bincount(decoded.labels[rows["train"]], minlength=len(decoded.classes))
    missing = [decoded.classes[c] for c in np.flatnonzero(counts == 0)]
    if missing:
        raise BadData(
            f"data set {name!r}: no training images of class {some(missing)} in the official split; "
            f"add some, leave the class out, or give fractions, as in data.split: {FRACTIONS}"
        )


def _cut(decoded: Decoded, pool: Labels, shares: Mapping[str, float], keys: npt.NDArray[np.float64], name: str) -> Rows:
    labels = decoded.labels[pool]
    counts = np.bincount(labels, minlength=len(decoded.classes))
    small = [f"{decoded.classes[c]} ({counts[c]})" for c in np.flatnonzero(counts < len(shares))]
    if small:
        raise BadData(
            f"data set {name!r} cannot be split into {', '.join(shares)}: too few images of class {some(small)}; "
            f"each class needs at least {len(shares)}, one for each part: "
            "add images, leave the class out, or ask for fewer parts"
        )
    chosen: dict[str, list[Labels]] = {part: [] for part in shares}
    order = np.lexsort((keys[pool], labels))
    start = 0
    for count in counts.tolist():
        members = pool[order[start : start + count]]
        start += count
        first = 0
        for part, size in zip(shares, part_sizes(count, list(shares.values())), strict=True):
            chosen[part].append(members[first : first + size])
            first += size
    return {part: np.sort(np.concatenate(rows)) for part, rows in chosen.items()}


def part_sizes(count: int, shares: list[float]) -> list[int]:
    """`count` images over parts of the given shares: the largest remainders are rounded up, and no part stays empty.

    `count` must be at least the number of parts.
    """
    exact = [count * share for share in shares]
    sizes = [int(value + 1e-9) for value in exact]
    by_remainder = sorted(range(len(shares)), key=lambda part: (sizes[part] - exact[part], part))
    for part in by_remainder[: count - sum(sizes)]:
        sizes[part] += 1
    for part, size in enumerate(sizes):
        if size == 0:
            sizes[sizes.index(max(sizes))] -= 1
            sizes[part] = 1
    return sizes


def subset(train: Labels, decoded: Decoded, seed: int, fraction: float, limit: int | None) -> Labels:
    """The training rows that `fraction` (rounded to whole images) and `limit` leave, ascending.

    All sizes are cuts of one ranking, so a smaller subset lies in every larger one. The ranking takes the images of
    each class evenly: any cut is within one image a class of exact proportions, and the first C images are one of each
    class.
    """
    size = max(1, int(len(train) * fraction + 0.5))
    size = size if limit is None else min(size, limit)
    if size >= len(train):
        return train
    labels, keys = decoded.labels[train], draws(decoded.ids, seed)[1][train]
    order = np.lexsort((keys, labels))
    counts = np.bincount(labels, minlength=len(decoded.classes))
    starts = np.cumsum(counts) - counts
    rank = np.empty(len(train), dtype=np.float64)
    rank[order] = np.arange(len(train)) - starts[labels[order]]
    ranking = np.lexsort((keys, rank / counts[labels]))
    return np.sort(train[ranking[:size]])


def saved_rows(
    decoded: Decoded, spec: Any, seed: int, name: str, home: Path, unlabelled: Mapping[str, str] | None = None
) -> tuple[Rows, str | None]:
    """`split_rows`, kept by sample id in `home/splits/`, and the name of the file there (none for an official split).

    A saved split is used again as it is, so that the same seed keeps its split if the random numbers of a library
    change.
    """
    if spec == "official":
        return split_rows(decoded, spec, seed, name, unlabelled), None
    text = json.dumps([spec, seed], sort_keys=True)
    path = home / "splits" / f"{decoded.digest[:16]}-{hashlib.sha256(text.encode()).hexdigest()[:12]}.npz"
    rows = _load(path, decoded)
    if rows is None:
        rows = split_rows(decoded, spec, seed, name, unlabelled)
        _save(path, {part: decoded.ids[chosen] for part, chosen in rows.items()}, decoded.digest, text)
    return rows, path.name


def _load(path: Path, decoded: Decoded) -> Rows | None:
    """The rows of a saved split, or None where it is absent, broken or of other data."""
    try:
        with np.load(path, allow_pickle=False) as saved:
            if str(saved["digest"]) != decoded.digest:
                return None
            rows = {part: np.searchsorted(decoded.ids, saved[part]) for part in PARTS if part in saved}
            whole = all(np.array_equal(decoded.ids[found], saved[part]) for part, found in rows.items())
    except (OSError, ValueError, KeyError, IndexError, EOFError, zipfile.BadZipFile):
        return None
    return rows if whole and rows else None


def _save(path: Path, ids: Mapping[str, Labels], digest: str, text: str) -> None:
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.stem, suffix=".unfinished")
        try:
            with os.fdopen(handle, "wb") as file:
                np.savez_compressed(file, allow_pickle=False, digest=np.array(digest), split=np.array(text), **ids)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
