"""A study file, read, checked and expanded: YAML in, `Study` out.

Every mistake in the file is reported at once, each with file, line, key, value, what is allowed and the nearest known name.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ablate.errors import NotFound, Problem, nearest
from ablate.study.assign.assign import apply, read_settings
from ablate.study.assign.foreign_recipe import apply_free
from ablate.study.assign.foreign_trainer import Trainer, read_trainer
from ablate.study.code.git import Commits
from ablate.study.designs.arms import FreeText, RecipeText, build_arms, build_runs, joined_levels, text_of
from ablate.study.designs.design import Design, path_steps, read_design
from ablate.study.designs.factors import read_baseline, read_factors
from ablate.study.designs.parent_runs import Parents, digest_of
from ablate.study.designs.points import Grid, Rule, build_grid, read_rules
from ablate.study.designs.profiles import (
    Profile,
    apply_profile,
    check_profiles,
    known_paths,
    read_profiles,
)
from ablate.study.designs.resources import read_resources
from ablate.study.designs.seeds import read_seeds, seeds_message, seeds_of
from ablate.study.designs.variants import effective, read_sets, texts_of
from ablate.study.document.find import find as find
from ablate.study.document.keys import STUDY
from ablate.study.document.problems import Problems, show
from ablate.study.document.source import Document, parse, read
from ablate.study.lint import lint
from ablate.study.recipes.recipe import fields
from ablate.study.tables.labels import read_labels
from ablate.study.tables.specs import TableReader, default_tables, known_metrics
from ablate.study.values.run import Run
from ablate.study.values.study import FULL, Factor, Study, TableSpec

KEEP = ("selected", "last", "all")
DEFAULT_SEEDS = 3
MAX_RUNS = 2_000_000
MAX_CHAIN = 20
"""Studies that may start from each other in a row."""


@dataclass(frozen=True)
class Choices:
    """What the command line changes: a profile, `--set path=value`, and the seeds; `recipe` is what a tuning file changes.

    `sources` are texts of studies that are named, and `weights` digests of files of weights, by their paths from the study's
    folder: they stand for what is on the disk (`Study.parent_sources`, `Study.weights`), as do `commits`. `stored` says that the text was run once:
    names of parts that are absent here are kept, and told in `Study.absent`. Without `files` the text is taken as it is, wherever it
    is read: base config files are not looked at.
    """

    profile: str | None = None
    sets: tuple[str, ...] = ()
    seeds: int | tuple[int, ...] | None = None
    recipe: Mapping[str, Any] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    weights: Mapping[str, str] = field(default_factory=dict)
    commits: Mapping[str, str] = field(default_factory=dict)
    stored: bool = False
    files: bool = True


@dataclass(frozen=True)
class Family:
    """The studies that a study was named by, and what those of them that it names came to, by file and profile.

    `root` is the folder of the first, from which paths are told; `sources` and `weights` collect what was read.
    """

    root: Path
    above: tuple[Path, ...] = ()
    known: dict[tuple[Path, str | None], Study] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    weights: dict[str, str] = field(default_factory=dict)

    def name(self, path: Path) -> str:
        """A path from the first study's folder, whatever the working folder is."""
        return Path(os.path.relpath(path, self.root)).as_posix()


def load(path: str | Path, choices: Choices | None = None) -> Study:
    """The study in a file. Raises NotFound, or StudyError with every mistake."""
    found = find(path)
    return load_document(read(found), found.parent, choices or Choices())


def load_text(text: str, file: str, choices: Choices | None = None) -> Study:
    """The study in a text; `file` is where it came from, for messages and for studies that it names."""
    return load_document(parse(text, file), Path(file).parent, choices or Choices())


def load_document(document: Document, folder: Path, choices: Choices, family: Family | None = None) -> Study:
    """A document that has been read; `family` are the studies that named this one, so that circles are seen."""
    problems = Problems(document, stored=choices.stored)
    return _Reader(document, problems, folder, choices, family or Family(folder)).read()


class _Reader:
    def __init__(self, document: Document, problems: Problems, folder: Path, choices: Choices, family: Family) -> None:
        self.document, self.problems, self.folder, self.choices = document, problems, folder, choices
        self.family = replace(family, above=(*family.above, _resolved(Path(document.file))))
        self.data = document.data
        self.trainer: Trainer | None = None
        self.commits = Commits(folder, choices.commits)

    def read(self) -> Study:
        """The study. Mistakes are told in two rounds, all that the file says, then what its arms come to; at once where the first
        have no bearing on arms."""
        problems, data = self.problems, self.data
        if "space" in data and "factors" not in data:
            problems.add(("space",), "wrong-file", "this is a tuning file, not a study; use `ablate tune run`.")
            problems.stop()
        problems.known_keys((), data, STUDY)
        trainer = self.trainer = read_trainer(problems, data.get("trainer"), self.commits)
        problems.free = trainer is not None
        head = self._head()
        defaults = {} if trainer else {path: field.default for path, field in fields().items()}
        base = self._apply(defaults, read_settings(problems, ("recipe",), data.get("recipe")))
        factors = read_factors(problems, data.get("factors"))
        if any(problem.key.startswith("factors") for problem in problems.errors) and not _all_there(data, factors):
            problems.stop()  # what is said of a factor without levels would only be noise
        exclude = read_rules(problems, ("exclude",), data.get("exclude"), factors)
        profiles = read_profiles(problems, data.get("profiles"), factors)
        chosen = self._profile(profiles)
        known = known_paths(base, factors)
        check_profiles(problems, profiles, known)
        if chosen is not None:
            factors = apply_profile(problems, chosen, factors)
            base = self._apply(base, chosen.recipe)
            exclude = [*(replace(rule, may_miss=chosen.design is not None) for rule in exclude), *chosen.exclude]
        sets = read_sets(problems, self.choices.sets, factors, known)
        unset, base = base, self._apply(self._apply(base, sets), self.choices.recipe)
        baseline = self._baseline(factors)
        design = self._design(factors, chosen)
        seeds = self._seeds(chosen)
        resources = read_resources(problems, ("resources",), data.get("resources"))
        self._check_seeds(seeds)
        grid = self._grid(design, factors, baseline, exclude)
        steps = path_steps(design, factors, baseline)
        tables = self._tables(factors, baseline, steps, grid)
        labels = read_labels(problems, data.get("labels"), factors, self._metrics())
        if grid is None or not all(map(_beside, problems.errors)):
            problems.stop()
        assert grid is not None
        study = Study(
            **head, profile=chosen.name if chosen else None, factors=factors, design=design.kind, seeds=seeds, baseline=baseline,
            excluded=grid.excluded, arms_before=grid.before, tables=tables, labels=labels, steps=steps,
            resources=chosen.resources if chosen and chosen.resources is not None else resources,
            profiles=tuple(profile.name for profile in profiles), base=base, sets=self._variant(sets, unset, grid, factors),
            **self._expand(grid, factors, base, seeds),
        )  # fmt: skip
        lint(problems, study)
        return replace(study, warnings=tuple(problems.warnings), absent=tuple(problems.absent))

    def _tables(
        self,
        factors: tuple[Factor, ...],
        baseline: Mapping[str, str],
        steps: Mapping[str, Mapping[str, str]],
        grid: Grid | None,
    ) -> Mapping[str, TableSpec]:
        arms = [point.levels for point in grid.points] if grid else None
        declared, better = (self.trainer.patterns, self.trainer.better) if self.trainer else ({}, {})
        usual = next(iter(declared), "top1")
        by_name = {factor.name: factor for factor in factors}
        reader = TableReader(self.problems, by_name, baseline, self._metrics(), steps, arms, better, usual, declared)
        return reader.read(self.data.get("tables")) or default_tables(factors, tuple(declared))

    def _metrics(self) -> tuple[str, ...]:
        return known_metrics(self.trainer.patterns if self.trainer else {})

    def _expand(
        self, grid: Grid, factors: tuple[Factor, ...], base: Mapping[str, Any], seeds: Sequence[int]
    ) -> dict[str, Any]:
        """Arms, runs and parents."""
        problems = self.problems
        if len(grid.points) * len(seeds) > MAX_RUNS:
            total = f"{len(grid.points):,} arms with {len(seeds):,} seeds"
            problems.add(
                ("seeds",),
                "too-many",
                f"{total} are {len(grid.points) * len(seeds):,} runs; at most {MAX_RUNS:,} are allowed.",
            )
            problems.stop()
        parents = Parents(problems, self.folder, self._load_parent, self._weights)
        text = FreeText(self.trainer, self._bases()) if self.trainer else RecipeText()
        resolve = None if self.trainer else parents.resolve
        arms = build_arms(problems, grid.points, factors, base, resolve, text)
        self._check_commits()
        problems.stop()
        runs = build_runs(arms, seeds, parents.parent_of, text)
        problems.stop()
        own = _not_own(parents.needed, runs)
        return {
            "arms": arms, "runs": runs, "parents": own, "parent_folders": tuple(parents.folders), "text": text_of(arms),
            "parent_sources": dict(self.family.sources), "weights": dict(self.family.weights),
            "commits": dict(self.commits.found),
        }  # fmt: skip

    def _bases(self) -> Path | None:
        """Where base config files are looked at; None where they are another commit's, or the text is a stored one."""
        elsewhere = self.trainer is not None and self.trainer.source.revision
        return self.folder if self.choices.files and not elsewhere else None

    def _check_commits(self) -> None:
        for revision in self.commits.unknown if not self.problems.errors else ():
            self.problems.add(
                ("trainer", "source", "git"),
                "unknown-name",
                f"{show(revision)} is no commit or branch of a git repository that holds {self.folder.absolute()}; "
                "`git log --oneline --all` lists what there is.",
            )

    def _variant(
        self, sets: Mapping[str, Any], unset: Mapping[str, Any], grid: Grid, factors: tuple[Factor, ...]
    ) -> tuple[str, ...]:
        """What `--set` makes another of at least one arm, as sorted text."""
        if not sets:
            return ()
        text = FreeText(self.trainer) if self.trainer else RecipeText()
        levels = joined_levels(grid.points, factors, free=self.trainer is not None)

        def come_to(settings: Mapping[str, Any]) -> dict[str, Any]:
            return self._apply(self._apply(unset, settings), self.choices.recipe)

        def differs(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
            left, right = come_to(one), come_to(other)
            return left != right and any(text.meaning(left, own) != text.meaning(right, own) for own in levels)

        return texts_of(effective(sets, differs), self.trainer.all_holes if self.trainer else ())

    def _head(self) -> dict[str, Any]:
        """What a study says of itself."""
        problems, data = self.problems, self.data
        keep = data.get("keep")
        if keep is not None and self.trainer:
            message = "only works with the built-in trainer; what your trainer leaves in {run_dir} is kept anyway."
            problems.add(("keep",), "unsupported", message)
        if keep is not None and keep not in KEEP:
            problems.refuse(("keep",), f"one of {', '.join(KEEP)}", keep, code="wrong-value")
        return {
            "name": self._name(),
            "file": self.document.file,
            "about": problems.text(("about",), "a sentence"),
            "cite": problems.mapping(("cite",), data.get("cite"), "a mapping such as {title: ..., source: ...}"),
            "keep": keep,
            "tune": problems.text(("tune",), "the name of a tuning file") or None,
            "trainer": self.trainer.declared if self.trainer else None,
            "metrics": self.trainer.better if self.trainer else {},
            "source": self.document.text,
        }

    def _name(self) -> str:
        name = self.document.scalar_text(("study",)) if self.data.get("study") is not None else ""
        if not re.fullmatch(r"[a-z0-9._-]{1,80}", name) or not name.strip("."):
            value = self.data.get("study")
            found = "it is missing" if value is None else f"not {show(value)}"
            message = f"must be a name of a-z, 0-9, '.', '_' and '-', with at most 80 characters; {found}."
            self.problems.add(("study",), "bad-name", message)
        return name

    def _profile(self, profiles: Sequence[Profile]) -> Profile | None:
        wanted = self.choices.profile
        if wanted is None:
            return None
        found = next((profile for profile in profiles if profile.name == wanted), None)
        if found is None and wanted != FULL:
            names = [profile.name for profile in profiles]
            known = f"{', '.join(names)}; {FULL} is the study without a profile" if names else "none"
            message = f"unknown profile {wanted!r}.{nearest(wanted, names)} Profiles: {known}."
            self.problems.add(("profiles",), "unknown-name", message)
        return found

    def _apply(self, base: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
        return apply_free(base, settings) if self.trainer else apply(base, settings)

    def _command(self, what: str, message: str) -> None:
        self.problems.errors.append(Problem(what, None, "", message, "wrong-value"))

    def _baseline(self, factors: tuple[Factor, ...]) -> dict[str, str]:
        value = self.data.get("baseline")
        if value is None or (value == {} and factors):
            if factors:
                example = ", ".join(f"{factor.name}: {factor.levels[0].name}" for factor in factors)
                self.problems.add(
                    ("baseline",),
                    "missing",
                    f"{'is missing' if value is None else 'names no factor'}: say which arm the others are compared with, "
                    f"as in baseline: {{{example}}}.",
                )
            return {}
        return read_baseline(self.problems, ("baseline",), value, factors)

    def _design(self, factors: tuple[Factor, ...], chosen: Profile | None) -> Design:
        design = read_design(self.problems, ("design",), self.data.get("design"), factors)
        return chosen.design if chosen and chosen.design else design

    def _seeds(self, chosen: Profile | None) -> tuple[int, ...]:
        value = self.data.get("seeds")
        seeds = read_seeds(self.problems, ("seeds",), DEFAULT_SEEDS if value is None else value)
        given = self.choices.seeds
        if given is None:
            return chosen.seeds if chosen and chosen.seeds else seeds
        found = seeds_of(given)
        if found is None:
            self._command("--seeds", seeds_message(given))
        return found or seeds

    def _check_seeds(self, seeds: Sequence[int]) -> None:
        """Replicates of a command that never hears of its seed would be one run, n times."""
        if self.trainer and self.trainer.command and not self.trainer.takes_seed and len(seeds) > 1:
            self.problems.add(
                ("trainer", "command"),
                "missing",
                f"the study has {len(seeds)} seeds, but the command does not use {{seed}}. Add it, as in --seed {{seed}}; or "
                "`replace` a seed that the script has fixed; or set `seed: env` if the script reads ABLATE_SEED; or set `seeds: 1`.",
            )

    def _grid(
        self, design: Design, factors: tuple[Factor, ...], baseline: Mapping[str, str], exclude: Sequence[Rule]
    ) -> Grid | None:
        """The grid, where nothing that it hangs on is wrong: a second mistake would only be the first one's shadow."""
        parts = ("factors", "baseline", "design", "exclude", "profiles")
        if any(problem.key.partition(".")[0] in parts for problem in self.problems.errors):
            return None
        return build_grid(self.problems, design, factors, baseline, exclude, self.data.get("include"))

    def _load_parent(self, path: Path, profile: str | None) -> Study:
        file = _resolved(path)
        if file in self.family.above:
            raise NotFound(f"{path.name} starts from a study that starts from it.")
        if len(self.family.above) >= MAX_CHAIN:
            raise NotFound(f"more than {MAX_CHAIN} studies in a row start from each other.")
        if (file, profile) not in self.family.known:
            name, stored = self.family.name(path), self.choices
            document = parse(stored.sources[name], str(path)) if name in stored.sources else read(path)
            self.family.sources[name] = document.text
            choices = Choices(profile=profile, sources=stored.sources, weights=stored.weights, stored=stored.stored)
            self.family.known[file, profile] = load_document(document, path.parent, choices, self.family)
        return self.family.known[file, profile]

    def _weights(self, path: Path) -> str | None:
        """The SHA-256 of a file of weights, as it was when the study's text was stored, else as it is; None for no such file."""
        name = self.family.name(path)
        found = self.choices.weights.get(name) or digest_of(path)
        if found is not None:
            self.family.weights[name] = found
        return found


_BESIDE = {"study", "about", "cite", "keep", "tune", "labels", "tables", "resources"}
_BESIDE_OF_TRAINER = {"select", "metrics", "artifacts", "watch", "epochs", "version", "venv", "checkpoint", "resume"}


def _beside(problem: Problem) -> bool:
    """Whether a mistake has no bearing on what the arms come to."""
    first, _, rest = problem.key.partition(".")
    return first in _BESIDE or (first == "trainer" and rest.partition(".")[0] in _BESIDE_OF_TRAINER)


def _all_there(data: Mapping[str, Any], factors: Sequence[Factor]) -> bool:
    written = data.get("factors")
    return isinstance(written, dict) and len(written) == len(factors)


def _resolved(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, ValueError, RuntimeError):  # no file can have this name; reading it says so
        return path


def _not_own(needed: Mapping[str, Run], runs: Sequence[Run]) -> tuple[Run, ...]:
    """Parents before their children; a parent that the study trains itself is not listed again."""
    own = {run.run_id for run in runs}
    return tuple(run for identity, run in needed.items() if identity not in own)
