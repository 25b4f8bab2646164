"""A study file, read, checked and expanded: YAML in, `Study` out.

Every mistake in the file is reported at once, each with file, line, key, value, what is allowed and the nearest known name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ablate.errors import NotFound, Problem, StudyError, nearest
from ablate.study.arms import FreeText, RecipeText, build_arms, build_runs
from ablate.study.assign import apply, read_settings
from ablate.study.design import Design, path_steps, read_design
from ablate.study.factors import read_baseline, read_factors
from ablate.study.find import find as find
from ablate.study.free import apply_free, unknown_path
from ablate.study.grid import Grid, Rule, build_grid, read_rules
from ablate.study.keys import STUDY
from ablate.study.lint import lint
from ablate.study.parents import Parents
from ablate.study.problems import Problems, show
from ablate.study.profiles import (
    Profile,
    apply_profile,
    check_profiles,
    fixed_by,
    known_paths,
    read_profiles,
)
from ablate.study.recipe import fields
from ablate.study.run import Run
from ablate.study.seeds import read_seeds, seeds_message, seeds_of
from ablate.study.source import Document, parse, read
from ablate.study.study import Factor, Study, TableSpec
from ablate.study.tables import TableReader, default_tables, known_metrics
from ablate.study.trainer import Trainer, read_trainer

KEEP = ("selected", "last", "all")
DEFAULT_SEEDS = 3
MAX_RUNS = 2_000_000
MAX_CHAIN = 20
"""Studies that may start from each other in a row."""


@dataclass(frozen=True)
class Settings:
    """What the command line changes: a profile, `--set path=value`, and the seeds; `recipe` is what a tuning file changes."""

    profile: str | None = None
    sets: tuple[str, ...] = ()
    seeds: int | tuple[int, ...] | None = None
    recipe: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Family:
    """The studies that a study was named by, and what those of them that it names came to, by file and profile."""

    above: tuple[Path, ...] = ()
    known: dict[tuple[Path, str | None], Study] = field(default_factory=dict)


def load(path: str | Path, settings: Settings | None = None) -> Study:
    """The study in a file. Raises NotFound, or StudyError with every mistake."""
    found = find(path)
    return load_document(read(found), found.parent, settings or Settings())


def load_text(text: str, file: str, settings: Settings | None = None) -> Study:
    """The study in a text; `file` is where it came from, for messages and for studies that it names."""
    return load_document(parse(text, file), Path(file).parent, settings or Settings())


def load_document(document: Document, folder: Path, settings: Settings, family: Family | None = None) -> Study:
    """A document that has been read; `family` are the studies that named this one, so that circles are seen."""
    problems = Problems(document)
    return _Reader(document, problems, folder, settings, family or Family()).read()


class _Reader:
    def __init__(
        self, document: Document, problems: Problems, folder: Path, settings: Settings, family: Family
    ) -> None:
        self.document, self.problems, self.folder, self.settings = document, problems, folder, settings
        self.family = Family((*family.above, _resolved(Path(document.file))), family.known)
        self.data = document.data
        self.trainer: Trainer | None = None

    def read(self) -> Study:
        """The study. Mistakes are told in two rounds: all that the file says, then what its arms come to."""
        problems, data = self.problems, self.data
        if "space" in data and "factors" not in data:
            problems.add(("space",), "this is a tuning file, not a study. `ablate tune run` takes it.")
            problems.stop()
        problems.known_keys((), data, STUDY)
        trainer = self.trainer = read_trainer(problems, data.get("trainer"))
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
        base = self._apply(self._apply(base, self._sets(factors, known)), self.settings.recipe)
        baseline = self._baseline(factors)
        design = self._design(factors, chosen)
        seeds = self._seeds(chosen)
        self._check_seeds(seeds)
        grid = self._grid(design, factors, baseline, exclude)
        steps = path_steps(design, factors, baseline)
        tables = self._tables(factors, baseline, steps, grid)
        problems.stop()
        assert grid is not None
        study = Study(
            **head, profile=chosen.name if chosen else None, factors=factors, design=design.kind, seeds=seeds, baseline=baseline,
            excluded=grid.excluded, arms_before=grid.before, tables=tables, steps=steps,
            profiles=tuple(profile.name for profile in profiles), base=base, **self._expand(grid, factors, base, seeds),
        )  # fmt: skip
        lint(problems, study)
        return replace(study, warnings=tuple(str(problem) for problem in problems.warnings))

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
        reader = TableReader(self.problems, factors, baseline, known_metrics(declared), steps, arms, better, usual)
        return reader.read(self.data.get("tables")) or default_tables(factors, tuple(declared))

    def _expand(
        self, grid: Grid, factors: tuple[Factor, ...], base: Mapping[str, Any], seeds: Sequence[int]
    ) -> dict[str, Any]:
        """Arms, runs and parents."""
        problems = self.problems
        if len(grid.points) * len(seeds) > MAX_RUNS:
            total = f"{len(grid.points):,} arms with {len(seeds):,} seeds"
            problems.add(
                ("seeds",), f"{total} are {len(grid.points) * len(seeds):,} runs; at most {MAX_RUNS:,} are planned."
            )
        problems.stop()
        parents = Parents(problems, self.folder, self._load_parent)
        text = FreeText(self.trainer) if self.trainer else RecipeText()
        resolve = None if self.trainer else parents.resolve
        arms = build_arms(problems, grid.points, factors, base, resolve, text)
        problems.stop()
        runs = build_runs(arms, seeds, parents.parent_of, text)
        problems.stop()
        own = _not_own(parents.needed, runs)
        return {"arms": arms, "runs": runs, "parents": own, "parent_folders": tuple(parents.folders)}

    def _head(self) -> dict[str, Any]:
        """What a study says of itself."""
        problems, data = self.problems, self.data
        keep = data.get("keep")
        if keep is not None and self.trainer:
            problems.add(
                ("keep",), "is for the built-in trainer; what a trainer of your own leaves in {run_dir} stays there."
            )
        if keep is not None and keep not in KEEP:
            problems.add(("keep",), f"must be one of {', '.join(KEEP)}, not {show(keep)}.")
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
            self.problems.add(("study",), f"must be a name of a-z, 0-9, '.', '_' and '-', at most 80 of them; {found}.")
        return name

    def _profile(self, profiles: Sequence[Profile]) -> Profile | None:
        wanted = self.settings.profile
        if wanted is None:
            return None
        found = next((profile for profile in profiles if profile.name == wanted), None)
        if found is None:
            names = [profile.name for profile in profiles]
            self.problems.add(
                ("profiles",),
                f"there is no profile {wanted!r}.{nearest(wanted, names)} Profiles: {', '.join(names) or 'none'}.",
            )
        return found

    def _apply(self, base: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
        return apply_free(base, settings) if self.trainer else apply(base, settings)

    def _sets(self, factors: tuple[Factor, ...], known: Sequence[str]) -> dict[str, Any]:
        """`--set path=value` as settings; they change the base, and levels apply after them."""
        settings: dict[str, Any] = {}
        for text in self.settings.sets:
            path, equals, value = (part.strip() for part in text.partition("="))
            shown = f"--set {text}"
            if not equals or not path:
                self._command(shown, "must be PATH=VALUE, as in --set epochs=3.")
                continue
            try:
                document = parse(f"{path}: {value}", shown)
            except StudyError as error:
                self.problems.errors += [replace(problem, line=None) for problem in error.problems]
                continue
            problems = Problems(document, free=self.problems.free)
            for name, item in read_settings(problems, (), document.data).items():
                if name in settings:
                    self._command(shown, f"{name} is set twice on the command line.")
                elif wrong := self.problems.free and unknown_path(name, known):
                    self._command(shown, wrong)
                elif factor := fixed_by(factors, name):
                    self._command(shown, f"every level of {factor} sets {name}, so this would change nothing.")
                settings[name] = item
            self.problems.errors += [Problem(shown, None, "", problem.message) for problem in problems.errors]
        return settings

    def _command(self, what: str, message: str) -> None:
        self.problems.errors.append(Problem(what, None, "", message))

    def _baseline(self, factors: tuple[Factor, ...]) -> dict[str, str]:
        value = self.data.get("baseline")
        if value is None or (value == {} and factors):
            if factors:
                example = ", ".join(f"{factor.name}: {factor.levels[0].name}" for factor in factors)
                self.problems.add(
                    ("baseline",),
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
        given = self.settings.seeds
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
                f"the study has {len(seeds)} seeds and the command no {{seed}}: add it, as in --seed {{seed}}; or say "
                "`seed: env` where the script reads ABLATE_SEED; or give the study `seeds: 1`.",
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
            raise NotFound(f"more than {MAX_CHAIN} studies start from each other in a row.")
        if (file, profile) not in self.family.known:
            study = load_document(read(path), path.parent, Settings(profile=profile), self.family)
            self.family.known[file, profile] = study
        return self.family.known[file, profile]


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
