"""`trainer.epochs`: how many epochs or steps a run of somebody else's trainer has, as a number or as the path of the recipe that holds it.

It is what progress, hyperband and a budget of epochs count by. It changes no number, so it is not hashed.
"""

from __future__ import annotations

from collections.abc import Mapping

from ablate.errors import nearest
from ablate.study.assign.foreign_recipe import Written
from ablate.study.document.problems import Problems, show
from ablate.study.document.source import Key
from ablate.study.values.recipe import whole

_KEY: Key = ("trainer", "epochs")


def read_epochs(problems: Problems, value: object) -> int | str | None:
    """The number or the path; None where neither is given."""
    if value is None or (isinstance(value, str) and value.strip()) or (isinstance(value, int) and whole(value)):
        return value
    problems.add(
        _KEY,
        "wrong-type",
        f"must be a whole number from 1, or the path in the recipe that holds it, as in epochs: train.steps; not {show(value)}.",
    )
    return None


def check_epochs(problems: Problems, said: int | str | None, arms: Mapping[str, Mapping[str, Written]]) -> None:
    """A path leads to a whole number in every arm (name -> settings)."""
    if not isinstance(said, str):
        return
    without = next((name for name, flat in arms.items() if said not in flat), None)
    paths = list(dict.fromkeys(path for flat in arms.values() for path in flat))
    if said not in paths:
        known = ", ".join(paths[:40]) or "none"
        problems.add(_KEY, "unknown-field", f"the recipe has no {said!r}.{nearest(said, paths)} Known: {known}.")
    elif without is not None:
        problems.add(_KEY, "missing", f"arm {without} does not set {said}; give it a value in `recipe`.")
    for name, flat in arms.items():
        if said in flat and whole(flat[said].value) is None:
            found = show(flat[said].value)
            problems.add(_KEY, "wrong-value", f"{said} must be a whole number from 1; in arm {name} it is {found}.")
            return
