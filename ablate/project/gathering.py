"""What is published: the studies below a folder at each scale that has a page, gathered from their files and one database."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

from ablate.analysis import build_table
from ablate.analysis.layout import arms_of, tables_of
from ablate.dispatch.elsewhere.gridfile import is_sqlite
from ablate.errors import AblateError, NotFound, Problem, StudyError
from ablate.parts.weights import names_run
from ablate.project.advice import command
from ablate.project.answers import runs_of
from ablate.project.database import database_url, require_results, safe_url
from ablate.project.results import Looks, looks_of, stored_results
from ablate.project.stored import changed_since, record_of, scales_of
from ablate.project.telling import tell
from ablate.project.text import plural
from ablate.report.answer import answer
from ablate.report.pages import what_differs
from ablate.report.published import Collection, Paper, StudyEntry, TableEntry, page_name
from ablate.store.store import Store
from ablate.study.document.source import read
from ablate.study.recipes.places import DEFAULT_DATABASE
from ablate.study.recipes.recipe import weights_paths
from ablate.study.records import RunResult
from ablate.study.tuning.tuning import is_tuning
from ablate.study.values.study import Study

NOT_PUBLISHED = ("quickstart.yaml",)
"""Studies that are of no paper and have a separate database."""
TAKEN = ("index",)
"""Names of pages that are no study's."""

EXAMPLES = "examples"
"""A folder of example scripts, which get no page."""


@dataclass(frozen=True)
class Gathered:
    """One study that could be read, at one scale: how its file is called, what it says, what is known of its runs, and which of
    them (by run and code) came out bit-equal where later code trained them again; whether its plain name means another scale."""

    shown: str
    study: Study
    results: Mapping[str, RunResult]
    looks: Looks
    again: Mapping[tuple[str, str], bool]
    other: bool

    @property
    def done(self) -> list[RunResult]:
        found = (self.results.get(run.run_id) for run in self.study.runs)
        return [result for result in found if result is not None and result.state == "done"]


@dataclass(frozen=True)
class Collected:
    """What there is to publish, what each study is made from (by its label), and the mistakes of files that were left out."""

    collection: Collection
    gathered: Mapping[str, Gathered]
    problems: tuple[Problem, ...]


def collect(experiments: Path, db: str | None) -> Collected:
    """Everything below `experiments` with what the database knows of it; it only looks.

    Raises NotFound where there is no database, no study file, or nothing done.
    """
    files = study_files(experiments)
    with require_results(db) as store:
        gathered, problems = _gather(store, files, experiments)
    if not any(item.done for scales in gathered.values() for item in scales):
        _nothing_done(files, db, problems)
    papers: list[Paper] = []
    by_label: dict[str, Gathered] = {}
    by_paper = _by_paper(files, experiments)
    names = {name for name, _ in by_paper}
    for name, paths in by_paper:
        readme = experiments / name / "README.md"
        differs = what_differs(readme.read_text(encoding="utf-8", errors="replace")) if readme.is_file() else ""
        pages: dict[tuple[bool, str | None], list[StudyEntry]] = {(False, None): []}
        for item in (item for path in paths for item in gathered.get(path, ())):
            entry = _entry(item, db)
            by_label[entry.label] = item
            pages.setdefault((item.other, item.study.profile if item.other else None), []).append(entry)
        unreadable = tuple(_shown(path, experiments) for path in paths if path not in gathered)
        mine = [
            Paper(name, tuple(entries), () if other else unreadable, differs, profile, other)
            for (other, profile), entries in pages.items()
        ]
        for one in [one for one in mine if one.other and Path(one.page).stem in names]:
            mine.remove(one)
            where = _shown(paths[0], experiments)
            problems.append(
                Problem(where, None, "", _is_taken(one.page, f"the paper {Path(one.page).stem}"), "duplicate")
            )
        papers += [replace(one, beside={each.label: each.page for each in mine if each is not one}) for one in mine]
    return Collected(Collection(_database(db), tuple(papers)), by_label, tuple(problems))


def study_files(experiments: Path) -> tuple[Path, ...]:
    """`experiments/*.yaml` and `experiments/PAPER/*.yaml`, what is not published left out. Raises NotFound."""
    if not experiments.is_dir():
        raise NotFound(f"There is no folder of study files at {experiments}.", code="no-study-files")
    top = [path for path in sorted(experiments.glob("*.yaml")) if path.name not in NOT_PUBLISHED]
    folders = [path for path in sorted(experiments.glob("*/*.yaml")) if path.parent.name != EXAMPLES]
    found = tuple(path for path in (*top, *folders) if not _is_tuning(path))
    if not found:
        raise NotFound(f"{experiments} has no study files (*.yaml or PAPER/*.yaml) to publish.", code="no-study-files")
    return found


def _is_tuning(path: Path) -> bool:
    try:
        return is_tuning(read(path).data)
    except AblateError:  # reading it as a study reports what is wrong
        return False


def _by_paper(files: Iterable[Path], experiments: Path) -> list[tuple[str, list[Path]]]:
    """Papers by name; in each, the file of the paper's own name first."""
    papers: dict[str, list[Path]] = {}
    for path in files:
        papers.setdefault(path.stem if path.parent == experiments else path.parent.name, []).append(path)
    return [(name, sorted(papers[name], key=lambda path: (path.stem != name, path.name))) for name in sorted(papers)]


def _gather(store: Store, files: Iterable[Path], experiments: Path) -> tuple[dict[Path, list[Gathered]], list[Problem]]:
    """What can be read, at each scale that has a page, and the mistakes of the rest. What two pages are called belongs to the first."""
    found: dict[Path, list[Gathered]] = {}
    problems: list[Problem] = []
    again = {(row.run_id, row.code_x): row.equal for row in store.verified()}
    owners = dict.fromkeys(TAKEN, "the page of all studies")
    for path in files:
        shown = _shown(path, experiments)
        try:
            main, *others = scales_of(store, path)
            if main.name in owners:
                raise NotFound(f"the study name {main.name!r} is already used by {owners[main.name]}. Choose another.")
        except StudyError as error:
            problems += error.problems
            continue
        except NotFound as error:
            problems.append(Problem(shown, None, "", str(error), error.code))
            continue
        owners[main.name] = shown
        item = _gathered(store, shown, main, again)
        found[path] = [item]
        if not item.done and (changed := changed_since(store, main, str(path))):
            tell(changed)
        for study in others:
            item = _gathered(store, shown, study, again, other=True)
            if not item.done or record_of(store, study) is None:
                continue
            name = page_name(study.name, study.profile, other=True)
            if name in owners:
                problems.append(Problem(shown, None, "", _is_taken(name, owners[name]), "duplicate"))
            else:
                owners[name] = shown
                found[path].append(item)
    return found, problems


def _is_taken(page: str, owner: str) -> str:
    return f"the page of this scale would be {page}, which {owner} already has. Rename one of the two."


def _gathered(
    store: Store, shown: str, study: Study, again: Mapping[tuple[str, str], bool], *, other: bool = False
) -> Gathered:
    results = _as_published(study, stored_results(study, store))
    return Gathered(shown, study, results, looks_of(study, store), again, other)


def _as_published(study: Study, found: Mapping[str, RunResult]) -> dict[str, RunResult]:
    """What is not run and starts from weights of others is shown as waiting for them, whatever lies on this machine."""
    told = dict(found)
    for run in study.runs:
        result = found.get(run.run_id, RunResult(run, "queued"))
        named = [run.recipe.get(path) for path in weights_paths()] if run.trainer is None else []
        if result.state == "queued" and any(isinstance(one, Mapping) and not names_run(one) for one in named):
            told[run.run_id] = replace(result, state="blocked", error="no weights")
    return told


def _shown(path: Path, experiments: Path) -> str:
    """A study file as the pages name it: relative to the working folder, never by a path of this machine."""
    folder = os.path.relpath(experiments)
    known = experiments.resolve().name if folder.startswith("..") else folder
    return Path(known, path.relative_to(experiments)).as_posix()


def _nothing_done(files: tuple[Path, ...], db: str | None, problems: list[Problem]) -> NoReturn:
    if problems:
        raise StudyError(problems)
    raise NotFound(
        f"No run of the {plural(len(files), 'study file')} is done in {_database(db)}. "
        f"Run one first: {command('grid', 'run', str(files[0]), db=db)}.",
        code="nothing-done",
    )


def _database(db: str | None) -> str:
    """The database's name without the folder, the server or the password that lead to it."""
    url = database_url(db)
    return Path(safe_url(url)).name if is_sqlite(url) else safe_url(url).partition("?")[0].rpartition("/")[2]


def _entry(item: Gathered, db: str | None) -> StudyEntry:
    """A study with its tables; without them where nothing is done."""
    study, results, done = item.study, item.results, item.done
    finished = {result.run.run_id for result in done}
    tables = []
    for spec in tables_of(study) if done else ():
        arms = {arm.arm_id for arm in arms_of(study, spec)}
        own = [run.run_id for run in study.runs if run.arm_id in arms]
        tables.append(
            TableEntry(build_table(study, spec, results, **item.looks), len(finished.intersection(own)), len(own))
        )
    entry = StudyEntry(
        name=study.name,
        file=item.shown,
        about=study.about,
        cite={str(key): str(value) for key, value in study.cite.items() if value is not None},
        profile=study.profile,
        runs=runs_of(study, results, item.again),
        tables=tuple(tables),
        commands=_commands(item, db),
        other=item.other,
    )
    if not done:
        return entry
    return replace(entry, answer=answer(study, [one.table for one in tables], entry, entry.commands[0]))


def _commands(item: Gathered, db: str | None) -> tuple[str, ...]:
    """What runs the study: at the scale that is shown, or at each that it has where nothing is done."""
    name = _database(db)
    other = name if is_sqlite(database_url(db)) and name != DEFAULT_DATABASE else None
    profiles = (item.study.profile,) if item.done else (None, *item.study.profiles)
    return tuple(command("grid", "run", item.shown, profile=profile, db=other) for profile in profiles)
