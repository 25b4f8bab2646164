"""A study file, read, checked and expanded: YAML in, `Study` out.

Every mistake in the file is reported at once, each with file, line, key, value, what is allowed and the nearest known name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ablate.errors import NotFound, nearest
from ablate.study.arms import build_arms, build_runs
from ablate.study.assign import apply, read_settings
from ablate.study.design import MAX_ARMS, read_design
from ablate.study.factors import read_factors, read_level
from ablate.study.grid import build_grid, read_rules
from ablate.study.lint import lint
from ablate.study.parents import Parents
from ablate.study.problems import Problems, show
from ablate.study.profiles import apply_profile, read_profiles
from ablate.study.recipe import fields
from ablate.study.run import Run
from ablate.study.source import Document, Key, parse, read
from ablate.study.study import Factor, Study
from ablate.study.tables import TableReader, default_tables, known_metrics

KEYS = (
    "study", "about", "cite", "recipe", "trainer", "factors", "design", "exclude", "include", "seeds", "baseline", "profiles",
    "tables", "keep", "tune",
)  # fmt: skip
KEEP = ("selected", "last", "all")
DEFAULT_SEEDS = 3


@dataclass(frozen=True)
class Settings:
    """What the command line changes: a profile, `--set path=value`, and the seeds."""

    profile: str | None = None
    sets: tuple[str, ...] = ()
    seeds: int | tuple[int, ...] | None = None


def find(name: str | Path) -> Path:
    """The file that a name means: as given, else in `experiments/`. Raises NotFound with what is there."""
    path = Path(name)
    if path.is_file() or path.is_absolute():
        return path
    candidates = [Path("experiments") / path, Path("experiments") / f"{path}.yaml", Path(f"{path}.yaml")]
    for candidate in candidates if path.parent == Path() else ():
        if candidate.is_file():
            return candidate
    there = sorted(str(p) for p in Path("experiments").glob("**/*.yaml"))
    hint = nearest(str(name), [Path(p).name for p in there])
    listed = f" Study files here: {', '.join(there)}." if there else ""
    raise NotFound(f"{name}: no such study file, neither here nor in experiments/.{hint}{listed}")


def load(path: str | Path, settings: Settings | None = None) -> Study:
    """The study in a file. Raises NotFound, or StudyError with every mistake."""
    found = find(path)
    return load_document(read(found), found.parent, settings or Settings())


def load_text(text: str, file: str, settings: Settings | None = None) -> Study:
    """The study in a text; `file` is where it came from, for messages and for studies that it names."""
    return load_document(parse(text, file), Path(file).parent, settings or Settings())


def load_document(document: Document, folder: Path, settings: Settings, above: tuple[Path, ...] = ()) -> Study:
    """A document that has been read; `above` are the studies that named this one, so that circles are seen."""
    problems = Problems(document)
    study = _Reader(document, problems, folder, settings, above).read()
    problems.stop()
    return study


class _Reader:
    def __init__(
        self, document: Document, problems: Problems, folder: Path, settings: Settings, above: tuple[Path, ...]
    ) -> None:
        self.document, self.problems, self.folder, self.settings = document, problems, folder, settings
        self.above = (*above, Path(document.file).resolve())
        self.data = document.data

    def read(self) -> Study:
        problems, data = self.problems, self.data
        problems.known_keys((), data, KEYS)
        name = self._name()
        for key in ("trainer", "tune"):
            if data.get(key) is not None:
                problems.add((key,), f"`{key}` is not supported by this version of ablate; take it out.")
        cite = problems.mapping(("cite",), data.get("cite"), "a mapping such as {title: ..., source: ...}")
        base_settings = read_settings(problems, ("recipe",), data.get("recipe"))
        factors = read_factors(problems, data.get("factors"))
        exclude = read_rules(problems, ("exclude",), data.get("exclude"), factors)
        profiles = read_profiles(problems, data.get("profiles"), factors)
        chosen = self._profile(profiles)
        design_value, seeds_value = data.get("design"), data.get("seeds", DEFAULT_SEEDS)
        seeds_key: Key = ("seeds",)
        base = apply({path: field.default for path, field in fields().items()}, base_settings)
        if chosen is not None:
            factors = apply_profile(problems, chosen, factors)
            base = apply(base, chosen.recipe)
            exclude = [*exclude, *read_rules(problems, ("profiles", chosen.name, "exclude"), chosen.exclude, factors)]
            design_value = design_value if chosen.design is None else chosen.design
            if chosen.seeds is not None:
                seeds_value, seeds_key = chosen.seeds, ("profiles", chosen.name, "seeds")
        base = apply(base, self._sets())
        problems.stop()
        baseline = self._baseline(factors)
        seeds = self._seeds(seeds_value, seeds_key)
        design = read_design(problems, design_value, factors)
        tables = TableReader(problems, factors, baseline, known_metrics({})).read(data.get("tables"))
        problems.stop()
        grid = build_grid(problems, design, factors, baseline, exclude, data.get("include"))
        parents = Parents(problems, self.folder, self._load_parent)
        arms = build_arms(problems, grid.points, factors, base, parents.resolve)
        problems.stop()
        runs = build_runs(arms, seeds, parents.parent_of)
        problems.stop()
        study = Study(
            name=name,
            file=self.document.file,
            about=str(data.get("about") or ""),
            cite=cite,
            profile=chosen.name if chosen else None,
            factors=factors,
            design=design.kind,
            seeds=seeds,
            baseline=baseline,
            arms=arms,
            excluded=grid.excluded,
            arms_before=grid.before,
            tables=tables or default_tables(factors),
            runs=runs,
            parents=_ordered_parents(parents.needed, runs),
            keep=self._keep(),
            profiles=tuple(profile.name for profile in profiles),
            source=self.document.text,
        )
        problems.stop()
        lint(problems, study)
        return Study(**{**study.__dict__, "warnings": tuple(str(problem) for problem in problems.warnings)})

    def _name(self) -> str:
        name = self.data.get("study")
        if not isinstance(name, str) or not re.fullmatch(r"[a-z0-9._-]{1,80}", name) or name.strip(".") == "":
            found = "it is missing" if name is None else f"not {show(name)}"
            self.problems.add(("study",), f"must be a name of a-z, 0-9, '.', '_' and '-', at most 80 of them; {found}.")
            return ""
        return name

    def _keep(self) -> str | None:
        keep = self.data.get("keep")
        if keep is not None and keep not in KEEP:
            self.problems.add(("keep",), f"must be one of {', '.join(KEEP)}, not {show(keep)}.")
        return keep

    def _profile(self, profiles: Sequence[Any]) -> Any:
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

    def _sets(self) -> dict[str, Any]:
        """`--set path=value` as settings; they change the base, and levels apply after them."""
        lines = []
        for text in self.settings.sets:
            path, equals, value = text.partition("=")
            if not equals:
                self.problems.add((), f"--set {text}: must be PATH=VALUE, as in --set epochs=3.")
                continue
            lines.append(f"{path.strip()}: {value}")
        if not lines:
            return {}
        document = parse("\n".join(lines), "--set")
        problems = Problems(document)
        settings = read_settings(problems, (), document.data)
        problems.stop()
        return settings

    def _baseline(self, factors: Sequence[Factor]) -> dict[str, str]:
        value = self.data.get("baseline")
        by_name = {factor.name: factor for factor in factors}
        if value is None:
            if factors:
                example = ", ".join(f"{factor.name}: {factor.levels[0].name}" for factor in factors)
                self.problems.add(
                    ("baseline",),
                    f"is missing: say which arm the others are compared with, as in baseline: {{{example}}}.",
                )
            return {}
        found: dict[str, str] = {}
        for name in self.problems.mapping(("baseline",), value, "a mapping of factors to one level each"):
            if name not in by_name:
                self.problems.add(
                    ("baseline", name),
                    f"there is no factor {name!r}.{nearest(name, by_name)} Factors: {', '.join(by_name)}.",
                )
                continue
            level = read_level(
                self.problems, ("baseline", name), by_name[name], self.document.scalar_text(("baseline", name))
            )
            if level is not None:
                found[name] = level
        return {factor.name: found[factor.name] for factor in factors if factor.name in found}

    def _seeds(self, value: Any, key: Key) -> tuple[int, ...]:
        if self.settings.seeds is not None:
            value = self.settings.seeds if isinstance(self.settings.seeds, int) else list(self.settings.seeds)
        listed = value if isinstance(value, list) else list(range(value)) if _whole(value) and value <= MAX_ARMS else []
        if (
            not listed
            or not all(_whole(seed) and 0 <= seed < 2**31 for seed in listed)
            or len(set(listed)) < len(listed)
        ):
            self.problems.add(
                key,
                f"must be a number of seeds from 1, or a list of different whole numbers from 0; not {show(value)}.",
            )
            return (0,)
        return tuple(listed)

    def _load_parent(self, path: Path, profile: str | None) -> Study:
        if path.resolve() in self.above:
            raise NotFound(f"{path.name} starts from a study that starts from it.")
        return load_document(read(path), path.parent, Settings(profile=profile), self.above)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _ordered_parents(needed: Mapping[str, Run], runs: Sequence[Run]) -> tuple[Run, ...]:
    """Parents before their children; a parent that the study trains itself is not listed again."""
    own = {run.run_id for run in runs}
    return tuple(run for identity, run in needed.items() if identity not in own)
