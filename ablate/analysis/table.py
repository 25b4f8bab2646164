"""A finished table as frozen numbers. `ablate.analysis` builds it, `ablate.report` only draws it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ablate.study.values.labels import Labels

Interval = tuple[float, float]

_SCALE = {"bytes": 1e-6}  # printed as MB


@dataclass(frozen=True)
class Cell:
    """One metric of one row over its replicates, in the metric's own unit (accuracies are fractions).

    mean, sd         over n finished runs; sd is None below n = 2
    planned          runs that n would be if none were missing; 0 where the design has no such cell
    ci95             95% t-interval of the mean; None below n = 2
    delta            mean minus the baseline's mean; None for the baseline itself
    delta_ci95       95% interval of delta, simultaneous over the family (the table's own test)
    p_adjusted       of the table's test, adjusted over the family; None below n = 3, at zero variance, or where a run
                     is missing
    decided          p_adjusted < 0.05
    test             what p and interval come from: `moderated`, `dunnett`, `welch-holm`; `pooled-holm`, a path's steps
                     under `dunnett`; `welch`, where too few arms vary to moderate; `residual`, the model's, in tables of
                     effects. Empty without an interval
    detectable       the smallest absolute difference that this n could have shown at 80% power
    reported         the paper's figure with its text; agrees: it lies in the 95% interval for one new run, whose width
                     is `agreement_width`; None where the comparison means nothing
    total            in a path design: mean minus the baseline's, where delta is from the step before
    run_ids          the runs behind the cell; of an effect, all that its model was fitted to
    values           what those runs have each, in their order; empty for an effect
    note             why a cell is empty or undecided, for people: "2 of 3 runs", "not run: no weights", "diverged"
    """

    mean: float | None = None
    sd: float | None = None
    n: int = 0
    planned: int = 0
    ci95: Interval | None = None
    delta: float | None = None
    delta_ci95: Interval | None = None
    p_adjusted: float | None = None
    decided: bool = False
    test: str = ""
    detectable: float | None = None
    reported: float | None = None
    reported_text: str | None = None
    agrees: bool | None = None
    agreement_width: float | None = None
    total: float | None = None
    run_ids: tuple[str, ...] = ()
    note: str = ""
    values: tuple[float, ...] = ()


_NOTHING = Cell()


@dataclass(frozen=True)
class Row:
    """One row. `epoch` and `class_` are set in tables over epochs and classes, `arm` is None in tables of effects."""

    name: str
    arm: str | None
    levels: Mapping[str, str]
    cells: Mapping[str, Cell]
    epoch: int | None = None
    class_: str | None = None
    is_baseline: bool = False

    def cell(self, key: str) -> Cell:
        """What stands in a column; an empty cell where nothing does."""
        return self.cells.get(key, _NOTHING)


@dataclass(frozen=True)
class Column:
    """`key` indexes `Row.cells`; `metric` names the number; `percent` prints fractions times 100.

    `decimals` are those printed, after `factor`: see `digits.fit`. `label` is what people read in place of the key, or empty.
    """

    key: str
    metric: str
    better: str
    unit: str
    percent: bool = False
    decimals: int = 3
    label: str = ""

    @property
    def factor(self) -> float:
        """What a value is multiplied by before it is printed: 100 for percent columns, a unit's own scale, or 1."""
        return 100.0 if self.percent else _SCALE.get(self.unit, 1.0)


@dataclass(frozen=True)
class ClaimResult:
    """`verdict` is `holds`, `contradicted`, `undecided` or `not testable`."""

    text: str
    verdict: str
    why: str


@dataclass(frozen=True)
class Curve:
    """One metric of one arm by epoch: mean with a 95% band over n runs (low and high are None below n = 2)."""

    arm: str
    metric: str
    epochs: tuple[int, ...]
    mean: tuple[float, ...]
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]
    n: int
    reported: tuple[float | None, ...] = ()


@dataclass(frozen=True)
class ConfusionTable:
    """Counts of one arm summed over its n runs: rows are true classes, columns predicted ones."""

    arm: str
    split: str
    classes: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    n: int


@dataclass(frozen=True)
class Table:
    """A table with everything that is printed around it.

    `comparable` is False under a profile, for a variant, other weights or other data, and `not_comparable` says why. `has_paper` is
    False for a study that cites nothing and reports no figures.
    `mean_absolute_difference` maps a column key to the mean of |measured - reported|.
    `notes` are sentences under the table (test used, pairing, missing runs, mixed or stale results).
    `looks` counts how often seeds were added to the study after results were there.
    `scale` says in a line what was trained: profile, data, image size, epochs, hardware.
    `sets` is the variant of the study that `--set` made, as `path=value`.
    `factors` are those that make the rows, `column_factor` the one that makes the columns, `arms` the levels of each arm.
    `behind` are the arms of a table of effects, a row each: what its model was fitted to.
    `instead` maps the effect of two levels, `tweak=D`, to the level that it starts from. `labels` are the study's.
    """

    study: str
    profile: str | None
    name: str
    kind: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    claims: tuple[ClaimResult, ...] = ()
    comparable: bool = True
    not_comparable: str = ""
    has_paper: bool = True
    mean_absolute_difference: Mapping[str, float] = field(default_factory=dict)
    test: str = "moderated"
    baseline: str = ""
    notes: tuple[str, ...] = ()
    looks: int = 0
    scale: str = ""
    curves: tuple[Curve, ...] = ()
    confusions: tuple[ConfusionTable, ...] = ()
    sets: tuple[str, ...] = ()
    factors: tuple[str, ...] = ()
    column_factor: str | None = None
    arms: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    behind: tuple[Row, ...] = ()
    instead: Mapping[str, str] = field(default_factory=dict)
    labels: Labels = field(default_factory=Labels)
