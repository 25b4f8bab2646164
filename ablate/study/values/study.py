"""The study as plain frozen values: what a study file says once it has been read and checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ablate.errors import Problem
from ablate.study.values.labels import Labels
from ablate.study.values.recipe import AnyRecipe, recipe_of
from ablate.study.values.resources import Resources
from ablate.study.values.run import Run

FULL = "full"
"""What `--profile` and names of pages call the scale without a profile, unless the study has a profile of that name."""


@dataclass(frozen=True)
class Level:
    """One value of a factor: `sets` maps dotted recipe paths to values. `members` is only used in a factor of subsets."""

    name: str
    sets: Mapping[str, Any]
    members: tuple[str, ...] = ()


@dataclass(frozen=True)
class Factor:
    """What the study varies. A factor of subsets has `members`, its two-level parts, in the file's order. Levels that are meant
    `together` are whole settings, of which no part is asked about."""

    name: str
    levels: tuple[Level, ...]
    members: tuple[str, ...] = ()
    together: bool = False

    def level(self, name: str) -> Level:
        return next(level for level in self.levels if level.name == name)


@dataclass(frozen=True)
class Reported:
    """A figure as a paper prints it. `value` is a fraction where the text is a percentage."""

    text: str
    value: float
    decimals: int
    percent: bool = False

    @property
    def half_unit(self) -> float:
        """Half of the last printed digit, in the unit of `value`: 0.005 for 0.90, 0.00005 for 76.21%."""
        return 0.5 * 10.0**-self.decimals / (100 if self.percent else 1)


@dataclass(frozen=True)
class Term:
    """A row in a claim: the rows' levels that it stands for."""

    text: str
    levels: Mapping[str, str]


@dataclass(frozen=True)
class Claim:
    """A statement that a table's rows can hold or contradict.

    kind        terms                      meaning
    `>` `<`     (a, b)                     a > b, by at least `by`
    `best`      (a, others...)             a beats each of the others, in the metric's direction
    `worst`     (a, others...)             each of the others beats a
    `gain`      (a, b, c, d)               (a - b) > (c - d)
    `prose`     ()                         not testable
    """

    text: str
    kind: str
    terms: tuple[Term, ...] = ()
    by: float = 0.0
    metric: str = "top1"
    where: Mapping[str, str] = field(default_factory=dict)


Condition = Mapping[str, tuple[str, ...]]
"""What `where` and `exclude` come to: for each factor the levels that match."""


@dataclass(frozen=True)
class TableSpec:
    """A table as declared.

    `factors` are the row factors in order; `kind` is `arms`, `epoch`, `class` or `effect` (what stands below them).
    `where` keeps, for every factor, the levels that belong to the table. `row_where` picks rows of epoch and class tables, and
    is `main` alone in a table of effects without interactions.
    `columns` are metrics; or, with `column_factor`, the levels of that factor, each showing `metric`.
    `baseline` holds the full levels of the table's own baseline, per factor; factors that are matched are absent.
    `reported` is keyed by row name, one entry a column, None where the paper has none.
    """

    name: str
    factors: tuple[str, ...]
    kind: str
    where: Condition
    columns: tuple[str, ...]
    column_factor: str | None = None
    metric: str | None = None
    row_where: tuple[str, ...] = ()
    baseline: Mapping[str, str] | None = None
    reported: Mapping[str, tuple[Reported | None, ...]] = field(default_factory=dict)
    claims: tuple[Claim, ...] = ()
    test: str = "moderated"
    caption: str = ""

    def in_percent(self, metric: str) -> bool:
        """Whether the table prints this metric in percent, as it does where the paper does."""
        places = [i for i, column in enumerate(self.columns) if (self.metric or column) == metric]
        return any(
            figure is not None and figure.percent
            for figures in self.reported.values()
            for figure in (figures[i] for i in places if i < len(figures))
        )


@dataclass(frozen=True)
class Arm:
    """One combination of levels.

    `levels` maps every factor to a level name, in the file's order. `label` is the name people see; `step` is set in a
    `path` design: the name of the step, and `previous` the arm before it. `merged_into` names the arm that is the same run
    after settings without effect were taken out, and `why` says which settings those were. `trainer` is None for the built-in one.
    """

    name: str
    levels: Mapping[str, str]
    arm_id: str
    recipe: AnyRecipe
    step: str | None = None
    previous: str | None = None
    merged_into: str | None = None
    why: str = ""
    trainer: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if isinstance(self.recipe, Mapping):
            object.__setattr__(self, "recipe", recipe_of(self.recipe, self.trainer))


@dataclass(frozen=True)
class Exclusion:
    """A rule that took arms out: its text as YAML, its line, and how many it took."""

    text: str
    line: int | None
    count: int


@dataclass(frozen=True)
class Study:
    """A study under one profile: factors, arms in order, tables, and the runs that they come to.

    `baseline` holds levels for the factors that the file's baseline names; the others are matched.
    `steps` maps what each step of a path may be called to the levels there of the factors that the baseline names.
    `base` is the recipe by dotted path before any level is applied.
    `trainer` is what the file declares of a trainer of its own, `metrics` the metrics that are not ours with their direction.
    `parent_folders` are those of the studies that `parents` come from: files of weights that they name lie there.
    `parent_sources` are the texts of those studies' files, and `weights` the SHA-256 of the files of weights that were read, by their
    paths from this study's folder: with them a stored text is read again without its neighbours.
    `commits` are what the revisions that its trainer names meant when it was read: a branch moves, and a stored study does not.
    `sets` is the variant that `--set` made: `path=value`, sorted; empty where nothing resolved is another.
    `text` is the digest of the design as resolved: the arms with their recipes and trainer, never seeds, tables or comments.
    `resources` is what one run takes, under this profile; never hashed.
    `runs` has each distinct run once, replicate by replicate, so that every arm has its first seed before any has its second.
    """

    name: str
    file: str
    about: str
    cite: Mapping[str, Any]
    profile: str | None
    factors: tuple[Factor, ...]
    design: str
    seeds: tuple[int, ...]
    baseline: Mapping[str, str]
    arms: tuple[Arm, ...]
    excluded: tuple[Exclusion, ...]
    arms_before: int
    tables: Mapping[str, TableSpec]
    runs: tuple[Run, ...]
    parents: tuple[Run, ...] = ()
    trainer: Mapping[str, Any] | None = None
    metrics: Mapping[str, str] = field(default_factory=dict)
    keep: str | None = None
    tune: str | None = None
    profiles: tuple[str, ...] = ()
    warnings: tuple[Problem, ...] = ()
    absent: tuple[str, ...] = ()
    source: str = ""
    steps: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    parent_folders: tuple[str, ...] = ()
    base: Mapping[str, Any] = field(default_factory=dict)
    sets: tuple[str, ...] = ()
    text: str = ""
    parent_sources: Mapping[str, str] = field(default_factory=dict)
    weights: Mapping[str, str] = field(default_factory=dict)
    commits: Mapping[str, str] = field(default_factory=dict)
    labels: Labels = field(default_factory=Labels)
    resources: Resources = field(default_factory=Resources)

    @property
    def full_name(self) -> str:
        """`quickstart (cpu) [y=2]`."""
        return full_name(self.name, self.profile, self.sets)

    @property
    def scale(self) -> str | None:
        """What `--profile` calls this scale; None where the file has no other."""
        return self.profile or (FULL if self.profiles else None)

    def arm(self, name: str) -> Arm:
        return next(arm for arm in self.arms if arm.name == name)


def full_name(name: str, profile: str | None = None, sets: Iterable[str] = ()) -> str:
    """A study as lists name it, with its profile and its variant: `quickstart`, `quickstart (cpu) [y=2]`."""
    variant = ", ".join(sets)
    return name + (f" ({profile})" if profile else "") + (f" [{variant}]" if variant else "")
