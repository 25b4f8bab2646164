"""Studies by file or by name: a file is read as it is now, a name as it was last run. Of either, all seeds that were asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ablate.errors import AblateError, NotFound, StudyError, nearest
from ablate.project.advice import command
from ablate.project.records import load_record, place_of, text_of, without_parts
from ablate.store.store import Store
from ablate.store.values import StoredStudy
from ablate.study.code.provenance import codes_of
from ablate.study.document.find import files_of, says_study
from ablate.study.loader import Choices, find, load
from ablate.study.values.study import FULL, Study, full_name


def stored_study(store: Store, name: str, profile: str | None = None, sets: Sequence[str] = ()) -> Study:
    """The study that a name or a file means, under the profile that is meant, as the variant that `sets` makes.

    Without a profile: the scale with more complete arms (`most_complete`). Its seeds are all that were asked of its text.
    """
    file = _file(name)
    if file is not None:
        try:
            return as_asked(store, file, Choices(profile, tuple(sets))) if profile else scales_of(store, file, sets)[0]
        except StudyError:
            name = _run_as_it_stands(store, file)
            if not name:
                raise
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


def _latest(store: Store, record: StoredStudy) -> Study:
    """A study as it was last run, with all seeds that were asked of it. Tables and claims are those of its file where that
    still comes to the same runs."""
    seeds = _seeds_of(store, record, text_of(record))
    try:
        stored = load_record(record, seeds or None)
    except StudyError:
        return without_parts(store, record, seeds or None)
    if _text_now(stored) in (None, stored.source):
        return stored
    try:
        now = load(stored.file, Choices(record.profile, record.sets, stored.seeds))
    except AblateError:
        return stored
    return now if (now.name, now.text) == (stored.name, stored.text) else stored


def other_file(record: StoredStudy, study: Study) -> str:
    """The file that a name was last run from, as called from the working folder, where it is not the study's; else empty."""
    earlier = place_of(record)
    return "" if Path(earlier).resolve() == Path(study.file).resolve() else earlier


def every_study(store: Store) -> list[Study]:
    """All studies of the database under each profile and as each variant, the one run last first."""
    return [_latest(store, item) for item in store.studies()]


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


def record_of(store: Store, study: Study) -> StoredStudy | None:
    """What is stored under a study's name, profile and variant."""
    return next(iter(store.studies(name=study.name, profile=study.profile or "", sets=study.sets)), None)


def file_and_seeds(store: Store, study: Study, given: str | None) -> tuple[str, str | None]:
    """The file and the seeds that continue a study; no seeds if only the file's own were asked for."""
    asked = store.requests(study.name, study.profile or "", study.sets)
    given_seeds = {one.call_options.get("seeds_given") for one in asked if one.text in (study.text, "")}
    seeds = given_seeds.pop() if len(given_seeds) == 1 else None
    if given_seeds:
        seeds = ",".join(map(str, study.seeds)) + ("," if len(study.seeds) == 1 else "")
    file = given if given is not None and _file(given) is not None else study.file
    return file, seeds


def _file(name: str) -> Path | None:
    """The file that is meant; None for a study's name. Raises NotFound."""
    return find(name) if name.endswith((".yaml", ".yml")) or "/" in name else None


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
