"""What each kind of figure shows, as frozen numbers: `figures` and `curves` make these, `drawing` draws them.

Values are as they are printed (percent columns times 100, bytes as MB), so that an axis reads like the table.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class BarsInfo:
    """One metric by row, in the table's order.

    `arms` are the keys of the colours, `singles` the values of single runs. Values are None where nothing was measured, intervals where n is 1; `notes` says
    why. `from_zero` is False where dots on an axis of their own show what bars from zero would hide. `left_out` counts the rows
    that only the table has.
    """

    title: str
    axis: str
    labels: tuple[str, ...]
    arms: tuple[str, ...]
    mean: tuple[float | None, ...]
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]
    reported: tuple[float | None, ...]
    hover: tuple[str, ...]
    notes: tuple[str, ...]
    baseline: float | None
    from_zero: bool
    singles: tuple[tuple[float, ...], ...] = ()
    left_out: int = 0


@dataclass(frozen=True)
class GroupsInfo:
    """One metric by the levels of a factor: a series for each row of a table with columns of levels, or each level of another factor.

    `across` is what the levels are of; `joined` series are lines, whose slopes differ where the factors interact.
    """

    title: str
    axis: str
    levels: tuple[str, ...]
    series: tuple[BarsInfo, ...]
    across: str = ""
    joined: bool = False


@dataclass(frozen=True)
class Line:
    """One metric of one arm by epoch. `low` and `high` are empty where there is no band. `split` picks the dash.

    `label` is its arm without what its panel says, which lines of several panels may share; of a single arm the metric.
    """

    name: str
    arm: str
    split: str
    epochs: tuple[int, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    n: int
    reported: tuple[tuple[int, float], ...]
    label: str = ""


@dataclass(frozen=True)
class Panel:
    """One of a figure's small multiples, its lines as places in `CurvesInfo.lines`.

    `shown` are seen at first, with `ends` at their ends: the part of a name that the panel does not say already. `second` are behind
    a switch (the training ones, where the others are enough to look at), `others` behind a picker. The line of `baseline`, which may be
    an arm of another panel, is grey.
    """

    title: str
    shown: tuple[int, ...]
    ends: tuple[str, ...] = ()
    second: tuple[int, ...] = ()
    others: tuple[int, ...] = ()
    baseline: str = ""


@dataclass(frozen=True)
class CurvesInfo:
    """The lines of one metric, training and evaluation together, in panels that share the axis `limits`.

    `wider` is the axis with the
    second lines. `log` says that the axis is logarithmic. `bands` says whether the 95% bands are there at first or wait for a click. `packed` says
    that the lines behind the picker are too many to be drawn beforehand. `second` is what the switch is called.
    """

    title: str
    lines: tuple[Line, ...]
    panels: tuple[Panel, ...]
    limits: tuple[float, float] | None
    wider: tuple[float, float] | None = None
    log: bool = False
    bands: bool = False
    packed: bool = False
    second: str = ""
    caption: str = ""


@dataclass(frozen=True)
class Confused:
    """A pair of classes that was mistaken: `share` is of the true class's examples."""

    true: str
    predicted: str
    count: int
    share: float


@dataclass(frozen=True)
class ConfusionInfo:
    """Counts and row-normalised shares (None in the row of a class without examples), and the worst mistakes."""

    title: str
    arm: str
    n: int
    classes: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    shares: tuple[tuple[float | None, ...], ...]
    worst: tuple[Confused, ...]


@dataclass(frozen=True)
class EffectsInfo:
    """Effects with their intervals around zero; `left_out` counts those that only the table has."""

    title: str
    labels: tuple[str, ...]
    effect: tuple[float | None, ...]
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]
    decided: tuple[bool, ...]
    hover: tuple[str, ...]
    left_out: int = 0


@dataclass(frozen=True)
class CostInfo:
    """What each arm costs and brings, on devices of one type; `front` are the places of those that no other beats in both.

    `limits` is the axis of the values.
    """

    title: str
    axis: str
    device: str
    labels: tuple[str, ...]
    arms: tuple[str, ...]
    seconds: tuple[float, ...]
    value: tuple[float, ...]
    hover: tuple[str, ...]
    front: tuple[int, ...]
    limits: tuple[float, float]


@dataclass(frozen=True)
class AgainstSeries:
    """One column's pairs: the paper's figure, ours, and whether they agree (False too where that can't be said)."""

    name: str
    paper: tuple[float, ...]
    ours: tuple[float, ...]
    agrees: tuple[bool, ...]
    hover: tuple[str, ...]


@dataclass(frozen=True)
class AgainstInfo:
    """What a paper reports against what was measured; `limits` is the scale of both axes."""

    title: str
    series: tuple[AgainstSeries, ...]
    limits: tuple[float, float]


Info = BarsInfo | GroupsInfo | CurvesInfo | ConfusionInfo | EffectsInfo | CostInfo | AgainstInfo
