"""What the database has of a study or a tuning, read as a study again."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablate.errors import AblateError
from ablate.study.loader import Choices, load_text
from ablate.study.values.run import Run
from ablate.study.values.study import Arm, Study

if TYPE_CHECKING:
    from ablate.store.store import Store
    from ablate.store.values import StoredRequest, StoredStudy, StudyLink

COMPARED = "compared"
"""How the names end of what `ablate.tuning.compare` queues."""


def load_record(record: StoredStudy | StoredRequest, seeds: tuple[int, ...] | None = None,
                sets: tuple[str, ...] | None = None) -> Study:  # fmt: skip
    """A study as it was run, from what the database has of it; with these seeds, else those of the last call."""
    return load_text(record.source, place_of(record), _choices(record, seeds, sets))


def _choices(
    record: StoredStudy | StoredRequest, seeds: tuple[int, ...] | None, sets: tuple[str, ...] | None
) -> Choices:
    from ablate.project.calls import parse_seeds

    stored: Mapping[str, Any] = record.call_options
    last = stored.get("seeds")
    last = tuple(last) if isinstance(last, list) else parse_seeds(last)
    return Choices(
        record.profile,
        record.sets if sets is None else sets,
        seeds or last,
        sources=stored.get("parents", {}),
        weights=stored.get("weights", {}),
        commits=stored.get("commits", {}),
        files=False,
    )


def without_parts(store: Store, record: StoredStudy, seeds: tuple[int, ...] | None) -> Study:
    """A study that names parts which are absent here: its design by its text, its arms and runs as they are stored.

    Raises StudyError where its text cannot be read for another reason.
    """
    from ablate.project.telling import tell

    choices = replace(_choices(record, seeds, None), stored=True)
    study = load_text(record.source, place_of(record), choices)
    linked = linked_runs(store, record)
    named: dict[str, tuple[Run, str | None]] = {}
    for run, link in linked:
        if not link.is_parent:
            named |= {link.arm: (run, None), **dict.fromkeys(link.aliases, (run, link.arm))}
    arms = tuple(
        replace(arm, arm_id=named[arm.name][0].arm_id, recipe=named[arm.name][0].recipe, merged_into=named[arm.name][1])
        for arm in study.arms
        if arm.name in named
    )
    own = {arm.arm_id for arm in arms}
    tell(
        f"{study.full_name} uses parts that are not installed here: {', '.join(study.absent)}. Shown are its stored results; "
        "to train it again, install the package that provides them, or restore their files."
    )
    kept = tuple(run for run, _ in linked if run.arm_id in own and run.seed in study.seeds)
    parents = tuple(run for run, _ in linked if run.run_id not in {one.run_id for one in kept})
    return replace(study, arms=arms, runs=kept, parents=parents, text=record.text or study.text)


def linked_runs(store: Store, record: StoredStudy) -> list[tuple[Run, StudyLink]]:
    """The runs of a stored study in its order, each with what the study calls it."""
    found = store.list_runs(study=record.name, profile=record.profile or "", sets=record.sets)
    links = store.links([one.run.run_id for one in found])
    mine = (record.name, record.profile, record.sets)
    return [
        (one.run, link)
        for one in found
        for link in links[one.run.run_id]
        if (link.study, link.profile, link.sets) == mine
    ]


def place_of(record: StoredStudy | StoredRequest) -> str:
    """The study's file as it is called from the working folder."""
    folder = record.call_options.get("folder")
    if not folder:
        return record.file
    path, typed = Path(folder) / Path(record.file).name, Path(record.file)
    if typed.resolve() == path or (typed.is_file() and not path.is_file()):  # there, or the project was moved to here
        return record.file
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


def is_compared(record: StoredStudy) -> bool:
    """Whether a record of a tuning holds what its study compares, and not trials."""
    return record.name.endswith(f":{COMPARED}")


def is_growing(record: StoredStudy) -> bool:
    """Whether a tuning's budget is known not to be spent. Older ones did not note it: of them, what is queued is all that is left."""
    return record.call_options.get("over") is False


def tuning_studies(store: Store) -> list[tuple[StoredStudy, Study]]:
    """What tunings have queued, each as a study whose arms are trials. Their files are not needed: the runs are in the store."""
    return [(record, _tuning_study(store, record)) for record in store.tunings()]


def _tuning_study(store: Store, record: StoredStudy) -> Study:
    """As a study, for displays. What a tuned study compares is kept beside its trials, under a name of its own."""
    _, base, rest = record.name.split(":", 2)
    linked = linked_runs(store, record)
    arms: dict[str, Arm] = {}
    for run, link in linked:
        if not link.is_parent:
            arms.setdefault(run.arm_id, Arm(link.arm.replace("#", " trial "), {}, run.arm_id, run.recipe))
    return Study(
        name=f"{base}, as written and tuned" if rest == COMPARED else f"tuning of {base}", file=record.file, about="",
        cite={}, profile=record.profile, factors=(), design="full", seeds=(), baseline={}, arms=tuple(arms.values()),
        excluded=(), arms_before=len(arms), tables={}, runs=tuple(run for run, link in linked if not link.is_parent),
        parents=tuple(run for run, link in linked if link.is_parent), sets=tuple(record.call_options.get("set", ())),
        trainer=record.call_options.get("trainer"),
    )  # fmt: skip


def text_of(record: StoredStudy) -> str:
    """The digest of a stored study's design; of one from an older database it is worked out."""
    if record.text:
        return record.text
    try:
        return load_record(record).text
    except AblateError:
        return ""
