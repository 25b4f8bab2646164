"""Data sets that must lie on this machine before a run can start: where each is looked for, and how to get it.

The trainer finds and reads them (`training/data/catalog.py`), which takes torch. A plan only looks whether anything is at their places.
"""

from __future__ import annotations

from pathlib import Path

from ablate.parts.declare import DataSet
from ablate.parts.found import parts
from ablate.project.advice import command
from ablate.study.values.recipe import AnyRecipe


def absent(recipe: AnyRecipe, root: Path) -> str:
    """Why the data set of a stored recipe is not in `root` (ABLATE_DATA) and what to do, in one line; '' where it may be.

    Whatever lies at one of its places counts as there: the trainer says what is wrong with it. A function's data, and a data set that
    no part declares, may be anywhere.
    """
    name, path = str(recipe.get("data.name")), recipe.get("data.path")
    known = parts(DataSet).get(name)
    if known is None or known.embedded or (path is None and known.needs_path):
        return ""
    places = [str(path)] if path is not None else list(known.places)
    if any(_is_there(known, root / place) for place in places):
        return ""
    fetch = path is None and known.archive is not None
    how = command("data", "fetch", name) if fetch else "put it there" if path is not None else known.get
    return f"no data: {name} is not in {root} (ABLATE_DATA; looked for {', '.join(places)}). To get it: {how}"


def _is_there(known: DataSet, place: Path) -> bool:
    """Another package's data set may find itself beside the place that it names."""
    try:
        return place.exists() or known.open(place) is not None
    except Exception:  # there, but not to be read: the trainer says why
        return True
