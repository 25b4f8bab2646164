"""Studies by file or by name: a file is read as it is now, a name as it was last run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablate.errors import NotFound, nearest
from ablate.study.find import files_of
from ablate.study.loader import Settings, find, load, load_text
from ablate.study.run import Run
from ablate.study.study import Arm, Study

COMPARED = "compared"
"""How the names end of what `ablate.tuning.compare` queues."""

if TYPE_CHECKING:
    from ablate.store.store import Store
    from ablate.store.values import StoredStudy


def stored_study(store: Store, name: str, profile: str | None = None, *, exact: bool = False) -> Study:
    """The study that a name or a file means, under the profile that is meant.

    Without a profile: the full scale if any of its runs is done, else the profile run last. With `exact`, the profile is taken
    as given, None being the full scale.
    """
    file = _file(name) if not exact else None
    if file is not None:
        return load(file, Settings(profile=profile)) if profile else best_scale(store, file)
    records = [item for item in store.studies() if item.name == name]
    if not records:
        if files := files_of(name):
            raise NotFound(
                f"{name} has no run in this database; its study file is {' or '.join(map(str, files))}. "
                f"Train it first: ablate grid run {files[0]}; or name another database with --db."
            )
        known = sorted({item.name for item in store.studies()})
        raise NotFound(
            f"{name}: neither a study file nor a study in the database.{nearest(name, known)} "
            f"Studies there: {', '.join(known) or 'none'}."
        )
    if exact or profile is not None:
        found = next((item for item in records if item.profile == profile), None)
        if found is None:
            profiles = ", ".join(item.profile or "(full scale)" for item in records)
            raise NotFound(f"{name} has not been run with profile {profile}; it has been with {profiles}.")
        return load_record(found)
    full = next((item for item in records if item.profile is None), None)
    if full is not None:
        study = load_record(full)
        if _any_done(store, study) or len(records) == 1:
            return study
    return load_record(next(item for item in records if item.profile is not None))


def load_record(record: Any) -> Study:
    """A study as it was last run, from the text and the settings in the database."""
    seeds = record.settings.get("seeds")
    from ablate.cli.common import parse_seeds

    return load_text(
        record.source, record.file, Settings(record.profile, tuple(record.settings.get("set", ())), parse_seeds(seeds))
    )


def tuning_studies(store: Store) -> list[tuple[StoredStudy, Study]]:
    """What tunings have queued, each as a study whose arms are trials. Their files are not needed: the runs are in the store."""
    return [(record, _tuning_study(store, record)) for record in store.tunings()]


def _tuning_study(store: Store, record: StoredStudy) -> Study:
    """As a study, for displays. What a tuned study compares is kept beside its trials, under a name of its own."""
    _, base, rest = record.name.split(":", 2)
    runs = {
        one.run.run_id: one.run
        for one in store.list_runs(study=record.name, profile=record.profile or "", sets=record.sets)
    }
    arms: dict[str, Arm] = {}
    parents: list[Run] = []
    for run_id, links in store.links(runs).items():
        link = next(
            link
            for link in links
            if (link.study, link.profile, link.sets) == (record.name, record.profile, record.sets)
        )
        if link.is_parent:
            parents.append(runs[run_id])
        else:
            arm = Arm(link.arm.replace("#", " trial "), {}, runs[run_id].arm_id, runs[run_id].recipe)
            arms.setdefault(arm.arm_id, arm)
    return Study(
        name=f"{base}, as written and tuned" if rest == COMPARED else f"tuning of {base}", file=record.file, about="",
        cite={}, profile=record.profile, factors=(), design="full", seeds=(), baseline={}, arms=tuple(arms.values()),
        excluded=(), arms_before=len(arms), tables={}, runs=tuple(run for run in runs.values() if run not in parents),
        parents=tuple(parents),
    )  # fmt: skip


def changed_since(store: Store, study: Study, given: str | None) -> str:
    """What to say where a file has changed since its study was run, so that none of its runs is known; else empty."""
    if given is None or _file(given) is None:
        return ""
    for record in store.studies():
        if record.name == study.name and record.profile == study.profile and record.source != study.source:
            return (
                f"{given} has changed since {study.name} was last run, and its runs are others now; "
                f"`ablate report {study.name}` shows what was run."
            )
    return ""


def settings_of(store: Store, study: Study, given: str | None) -> tuple[str, tuple[str, ...], str | None]:
    """The file, `--set` and `--seeds` that run a study on: a file as given, a name as it was run last."""
    if given is not None and _file(given) is not None:
        return given, (), None
    for record in store.studies():
        if record.name == study.name and record.profile == study.profile:
            return record.file, tuple(record.settings.get("set", ())), record.settings.get("seeds")
    return study.file, (), None


def _file(name: str) -> Path | None:
    looks_like_file = name.endswith((".yaml", ".yml")) or "/" in name
    try:
        return find(name) if looks_like_file else None
    except NotFound:
        if looks_like_file:
            raise
        return None


def best_scale(store: Store, file: Path) -> Study:
    """A file without a profile: the full scale if any of its runs is done, else the profile of it that was run last."""
    full = load(file)
    if _any_done(store, full):
        return full
    for record in store.studies():
        if record.name == full.name and record.profile in full.profiles:
            return load(file, Settings(profile=record.profile))
    return full


def _any_done(store: Store, study: Study) -> bool:
    states = store.states([run.run_id for run in study.runs])
    return any(state.state == "done" for state in states.values())
