"""Studies by file or by name: a file is read as it is now, a name as it was last run. Of either, all seeds that were asked for."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablate.errors import AblateError, NotFound, StudyError, nearest
from ablate.project.advice import command
from ablate.study.code.provenance import codes_of
from ablate.study.document.find import files_of, says_study
from ablate.study.loader import Choices, find, load, load_text
from ablate.study.values.run import Run
from ablate.study.values.study import FULL, Arm, Study, full_name

COMPARED = "compared"
"""How the names end of what `ablate.tuning.compare` queues."""

if TYPE_CHECKING:
    from ablate.store.store import Store
    from ablate.store.values import StoredRequest, StoredStudy, StudyLink


def stored_study(
    store: Store, name: str, profile: str | None = None, sets: Sequence[str] = (), *, exact: bool = False
) -> Study:
    """The study that a name or a file means, under the profile that is meant, as the variant that `sets` makes.

    Without a profile: the scale with more complete arms (`most_complete`). With `exact`, name, profile and variant are taken as
    given, None being the full scale. Its seeds are all that were asked of its text.
    """
    file = _file(name) if not exact else None
    if file is not None:
        try:
            return as_asked(store, file, Choices(profile, tuple(sets))) if profile else scales_of(store, file, sets)[0]
        except StudyError:
            name = _run_as_it_stands(store, file)
            if not name:
                raise
    if exact:
        known = store.studies(name=name, profile=profile or "", sets=tuple(sets))
        return _latest(store, known[0])
    records = records_of(store, name, sets, profile)
    if profile is not None or len(records) == 1:
        return _latest(store, records[0])
    return most_complete(store, [_latest(store, item) for item in records])[0]


def records_of(store: Store, name: str, sets: Sequence[str], profile: str | None = None) -> list[StoredStudy]:
    """What is stored under a name, of the variant (and profile) alone, the one run last first. Raises NotFound."""
    every = store.studies(name=name)
    if not every:
        if files := files_of(name):
            raise NotFound(
                f"{name} has no runs in this database. Its study file is {' or '.join(map(str, files))}. "
                f"Train it first: {command('grid', 'run', str(files[0]))}.",
                code="no-runs",
            )
        known = sorted({item.name for item in store.studies()})
        raise NotFound(
            f"{name}: neither a study file nor a study in the database.{nearest(name, known)} "
            f"Studies in the database: {', '.join(known) or 'none'}.",
            code="unknown-study",
        )
    found = [item for item in every if _is_variant(item, sets)]
    if not found:
        raise NotFound(_no_such_variant(name, every, sets), code="unknown-variant")
    if profile is None:
        return found
    of_profile = [item for item in found if item.profile == (profile or None)]
    if not of_profile and profile == FULL:
        of_profile = [item for item in found if item.profile is None]
    if not of_profile:
        profiles = ", ".join(item.profile or FULL for item in found)
        message = f"{name} has not been run with profile {profile}, only with {profiles}."
        raise NotFound(message, code="unknown-profile")
    return of_profile


def _no_such_variant(name: str, every: Sequence[StoredStudy], sets: Sequence[str]) -> str:
    """What to say where a name has been run, but not as this variant."""
    known = ", ".join(full_name(item.name, item.profile, item.sets) for item in every)
    if sets:
        return f"{full_name(name, None, sets)} has not been run. Runs exist of {known}."
    return f"{name} has been run only with changed settings: {known}. Name one of these variants."


def _is_variant(record: StoredStudy, sets: Sequence[str]) -> bool:
    """Whether settings as given make the record's variant."""
    if record.sets == tuple(sorted(sets)):
        return True
    migrated = not record.text  # its settings stand there as they were given
    if not sets and not migrated:
        return False
    try:
        return load_record(record, sets=tuple(sets)).sets == (load_record(record).sets if migrated else record.sets)
    except AblateError:  # another version of the study, which has no such setting
        return False


def _run_as_it_stands(store: Store, file: Path) -> str:
    """The name under which the text of a file that cannot be read any more was run; empty for none."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, ValueError):
        return ""
    return next((record.name for record in store.studies() if record.source == text), "")


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
    )


def _latest(store: Store, record: StoredStudy) -> Study:
    """A study as it was last run, with all seeds that were asked of it. Tables and claims are those of its file where that
    still comes to the same runs."""
    seeds = _seeds_of(store, record, text_of(record))
    try:
        stored = load_record(record, seeds or None)
    except StudyError:
        return _without_parts(store, record, seeds or None)
    if _text_now(stored) in (None, stored.source):
        return stored
    try:
        now = load(stored.file, Choices(record.profile, record.sets, stored.seeds))
    except AblateError:
        return stored
    return now if (now.name, now.text) == (stored.name, stored.text) else stored


def _without_parts(store: Store, record: StoredStudy, seeds: tuple[int, ...] | None) -> Study:
    """A study that names parts which are absent here: its design by its text, its arms and runs as they are stored.

    Raises StudyError where its text cannot be read for another reason.
    """
    from ablate.project.telling import tell

    choices = replace(_choices(record, seeds, None), stored=True)
    study = load_text(record.source, place_of(record), choices)
    linked = _linked(store, record)
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


def _linked(store: Store, record: StoredStudy) -> list[tuple[Run, StudyLink]]:
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


def other_file(record: StoredStudy, study: Study) -> str:
    """The file that a name was last run from, as called from the working folder, where it is not the study's; else empty."""
    earlier = place_of(record)
    return "" if Path(earlier).resolve() == Path(study.file).resolve() else earlier


def every_study(store: Store) -> list[Study]:
    """All studies of the database under each profile and as each variant, the one run last first."""
    return [stored_study(store, item.name, item.profile, item.sets, exact=True) for item in store.studies()]


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
    linked = _linked(store, record)
    arms: dict[str, Arm] = {}
    for run, link in linked:
        if not link.is_parent:
            arms.setdefault(run.arm_id, Arm(link.arm.replace("#", " trial "), {}, run.arm_id, run.recipe))
    return Study(
        name=f"{base}, as written and tuned" if rest == COMPARED else f"tuning of {base}", file=record.file, about="",
        cite={}, profile=record.profile, factors=(), design="full", seeds=(), baseline={}, arms=tuple(arms.values()),
        excluded=(), arms_before=len(arms), tables={}, runs=tuple(run for run, link in linked if not link.is_parent),
        parents=tuple(run for run, link in linked if link.is_parent), sets=tuple(record.call_options.get("set", ())),
    )  # fmt: skip


def changed_since(store: Store, study: Study, given: str | None) -> str:
    """What to say where a file and what was last run under its name are two designs; else empty."""
    if given is not None and _file(given) is not None:
        record = record_of(store, study)
        if record is not None and text_of(record) != study.text:
            shown = command("report", study.name, profile=study.scale, sets=study.sets)
            if earlier := other_file(record, study):
                return (
                    f"{study.full_name} was last run from {earlier}, with a different design; `{shown}` shows that one."
                )
            return (
                f"{given} has changed since {study.full_name} was last run, so its run ids changed; "
                f"`{shown}` shows what was run."
            )
        return ""
    if _text_now(study) in (None, study.source):
        return ""
    return f"{study.file} has changed since {study.full_name} was last run: this is what was run, not what the file says now."


def _text_now(study: Study) -> str | None:
    """The text of a study's file as it is now; None where no such study stands there."""
    try:
        text = Path(study.file).read_text(encoding="utf-8-sig")
    except (OSError, ValueError):
        return None
    return text if says_study(text, study.name) else None


def text_of(record: StoredStudy) -> str:
    """The digest of a stored study's design; of one from an older database it is worked out."""
    if record.text:
        return record.text
    try:
        return load_record(record).text
    except AblateError:
        return ""


def record_of(store: Store, study: Study) -> StoredStudy | None:
    """What is stored under a study's name, profile and variant."""
    return next(iter(store.studies(name=study.name, profile=study.profile or "", sets=study.sets)), None)


def file_and_seeds(store: Store, study: Study, given: str | None) -> tuple[str, str | None]:
    """The file and the seeds that continue a study; no seeds if nobody asked for others than the file's own."""
    asked = store.requests(study.name, study.profile or "", study.sets)
    given_seeds = {one.call_options.get("seeds_given") for one in asked if one.text in (study.text, "")}
    seeds = given_seeds.pop() if len(given_seeds) == 1 else None
    if given_seeds:
        seeds = ",".join(map(str, study.seeds)) + ("," if len(study.seeds) == 1 else "")
    file = given if given is not None and _file(given) is not None else study.file
    return file, seeds


def _file(name: str) -> Path | None:
    looks_like_file = name.endswith((".yaml", ".yml")) or "/" in name
    try:
        return find(name) if looks_like_file else None
    except NotFound:
        if looks_like_file:
            raise
        return None


def scales_of(store: Store, file: Path, sets: Sequence[str] = ()) -> list[Study]:
    """A file at full scale and under each profile of it that was run; first the scale that it means without a profile."""
    full = as_asked(store, file, Choices(sets=tuple(sets)))
    profiles = [
        as_asked(store, file, Choices(record.profile, tuple(sets)))
        for record in store.studies(name=full.name)
        if record.profile in full.profiles and _is_variant(record, sets)
    ]
    return most_complete(store, [*profiles, full]) if profiles else [full]


def most_complete(store: Store, scales: Sequence[Study]) -> list[Study]:
    """The scales of one study, first the one with most arms of which all runs that were asked for are done.

    Of equals, the one with more runs done; then the full scale where any of its runs is done; then as they are given.
    """

    def progress(study: Study) -> tuple[int, int, bool]:
        done = _done(store, study)
        left = {run.arm_id for run in study.runs if run.run_id not in done}
        return len({run.arm_id for run in study.runs} - left), len(done), study.profile is None and bool(done)

    profiles_first = sorted(scales, key=lambda study: study.profile is None)
    return sorted(profiles_first, key=progress, reverse=True)


def as_asked(store: Store, file: Path, choices: Choices) -> Study:
    """A file as it is, with all seeds that were asked of the text that it has now; its own where none were."""
    study = load(file, choices)
    record = record_of(store, study)
    seeds = _seeds_of(store, record, study.text) if record is not None else ()
    return study if not seeds or set(seeds) == set(study.seeds) else load(file, replace(choices, seeds=seeds))


def _seeds_of(store: Store, record: StoredStudy, text: str) -> tuple[int, ...]:
    """All seeds that were asked of one text of a study, also by requests of an older database, which tell no text."""
    texts = {text, ""} if not record.text and text_of(record) == text else {text}
    asked = (store.seeds_asked(record.name, record.profile, record.sets, one) for one in texts)
    return tuple(sorted({seed for seeds in asked for seed in seeds}))


def _done(store: Store, study: Study) -> set[str]:
    states = store.states([run.run_id for run in study.runs], code=codes_of(study))
    return {run_id for run_id, state in states.items() if state.state == "done"}
