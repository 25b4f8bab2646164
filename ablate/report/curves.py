"""Curves as small multiples: which panels a figure has, which of a panel's lines are seen at first, and the axis they share."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ablate.analysis.table import Curve, Table
from ablate.report import format as fmt
from ablate.report.infos import CurvesInfo, Line, Panel
from ablate.study.values.metrics import MetricName

SIX = 6
"""Lines that a panel shows at first."""
MOST_PANELS = 9
"""Levels of the first factor from which on they are no panels any more."""
FEW_ARMS = 40
"""Arms of a figure up to which all lines are drawn; of more, those behind the picker are data only."""
WIDE = 30.0
"""A largest value so many times the median one leaves all others flat on a linear axis: a first epoch that exploded."""


def curves(table: Table) -> tuple[CurvesInfo, ...]:
    """One figure for each metric of the curves, `train_top1` and `top1` in the same one."""
    families: dict[str, list[Curve]] = {}
    for curve in table.curves:
        families.setdefault(MetricName.parse(curve.metric).name, []).append(curve)
    return tuple(_family_of_curves(table, name, members) for name, members in families.items())


def _family_of_curves(table: Table, name: str, members: Sequence[Curve]) -> CurvesInfo:
    columns = [column for column in table.columns if MetricName.parse(column.metric).name == name]
    percent = any(column.percent for column in columns)
    several = len({curve.arm for curve in members}) > 1
    lines = tuple(_line(curve, 100.0 if percent else 1.0, several) for curve in members)
    better = next(
        (c.better for c in columns if c.better in ("higher", "lower")), "lower" if "loss" in name else "higher"
    )
    share_out = _Panels(table, lines, lower=better == "lower")
    panels = share_out.panels()
    share = any(column.unit == "fraction" for column in columns) or (not columns and name.startswith("top"))
    shown = {place for panel in panels for place in panel.shown}
    seen = [line for place, line in enumerate(lines) if place in shown or share_out.is_main(line)]
    log = _is_wide(seen)
    limits, wider = (
        _limits(some, log=log, top=(100.0 if percent else 1.0) if share else None) for some in (seen, lines)
    )
    info = CurvesInfo(
        title=f"{fmt.plain(name)} (%) by epoch" if percent else f"{fmt.plain(name)} by epoch",
        lines=share_out.labelled(),
        panels=panels,
        limits=limits,
        wider=wider,
        log=log,
        bands=max((len(panel.shown) for panel in panels), default=0) <= 2,
        packed=share_out.packed,
        second=share_out.second(panels),
    )
    return replace(info, caption=_caption(info))


def _line(curve: Curve, by: float, several: bool) -> Line:
    band = [
        (low, high) for low, high in zip(curve.low, curve.high, strict=True) if low is not None and high is not None
    ]
    whole = len(band) == len(curve.epochs)
    metric = fmt.plain(curve.metric)
    return Line(
        name=f"{fmt.plain(curve.arm)}, {metric}" if several else metric,
        arm=curve.arm,
        split=MetricName.parse(curve.metric).split or "",
        epochs=curve.epochs,
        mean=tuple(_digits(value * by) for value in curve.mean),
        low=tuple(_digits(low * by) for low, _ in band) if whole else (),
        high=tuple(_digits(high * by) for _, high in band) if whole else (),
        n=curve.n,
        reported=tuple(
            (epoch, _digits(value * by))
            for epoch, value in zip(curve.epochs, curve.reported, strict=False)
            if value is not None
        ),
        label="" if several else metric,
    )


def _digits(value: float) -> float:
    """More digits than a hover shows and a pixel is wide; all seventeen would be most of a page's bytes."""
    return float(f"{value:.6g}")


def _is_wide(lines: Sequence[Line]) -> bool:
    """Whether the axis is to be logarithmic."""
    means = [value for line in lines for value in line.mean]
    return bool(means) and min(means) > 0 and max(means) > WIDE * statistics.median(means)


def _limits(lines: Sequence[Line], *, log: bool, top: float | None) -> tuple[float, float] | None:
    """The axis that all panels share: about the means and the paper's figures, and up to `top`, all that a share can be."""
    values = [value for line in lines for value in (*line.mean, *(paper for _, paper in line.reported))]
    if log:
        values = [value for value in values if value > 0]
    if not values:
        return None
    low, high = min(values), max(values)
    if log:
        return low / 2, high * 1.5
    room = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
    above = high + room
    return max(low - room, 0.0) if low >= 0 else low - room, above if top is None or high > top else min(above, top)


class _Panels:
    """The lines of one metric, shared out among panels."""

    def __init__(self, table: Table, lines: Sequence[Line], *, lower: bool) -> None:
        self._table, self._lines, self._lower = table, lines, lower
        self._arms = list(dict.fromkeys(line.arm for line in lines))
        self._parts = {row.arm: tuple(row.levels.values()) for row in table.rows if row.arm}
        self._levels = self._levels_of_arms()
        self._titles = list(dict.fromkeys(self._levels.values()))
        self._names = self._names_of_arms()
        self._lines = self.labelled()
        self.packed = len(self._arms) > FEW_ARMS
        course = {line.split == "train" for line in lines if len(line.epochs) > 1}
        self._training = course == {True} or {line.split == "train" for line in lines} == {True}
        self._with_main = {line.arm for line in lines if self.is_main(line)}
        # the last evaluation, and the last training value only where there is no other
        self._score = {line.arm: line.mean[-1] for line in sorted(lines, key=lambda line: line.split != "train")}

    def _levels_of_arms(self) -> Mapping[str, str]:
        """Each arm's level of the first factor; one for all where levels are one, too many, or no more than few arms."""
        first = {arm: parts[0] for arm, parts in self._parts.items() if parts}
        found = {arm: first.get(arm, "") for arm in self._arms}
        several = len(set(found.values()))
        if "" in found.values() or not 2 <= several <= MOST_PANELS or several == len(found) <= SIX:
            return dict.fromkeys(self._arms, "")
        return found

    def panels(self) -> tuple[Panel, ...]:
        drafts = [(title, *self._members(title)) for title in self._titles]
        # the baseline alone is no panel: each of the others has it
        drafts = [d for d in drafts if len(drafts) == 1 or {self._lines[place].arm for place in d[2]} != {d[1]}]
        wait = any(len(places) > SIX for _, _, places in drafts)
        return tuple(self._panel(title, baseline, places, wait) for title, baseline, places in drafts)

    def _members(self, title: str) -> tuple[str, list[int]]:
        """The baseline of a panel, which may be another panel's arm, and the places of its lines."""
        all_ = list(dict.fromkeys(row.arm for row in self._table.rows if row.is_baseline and row.arm in self._levels))
        own = [arm for arm in all_ if arm and self._levels[arm] == title]
        baseline = (own or all_)[0] if len(own) == 1 or len(all_) == 1 else None
        places = [
            place
            for place, line in enumerate(self._lines)
            if self._levels[line.arm] == title or (line.arm == baseline and self.is_main(line))
        ]
        return baseline or "", sorted(places, key=lambda place: self._lines[place].arm != baseline)

    def is_main(self, line: Line) -> bool:
        """What a figure is about: the evaluated lines, or the training ones where those alone have a course."""
        return (line.split == "train") == self._training

    def _panel(self, title: str, baseline: str, places: Sequence[int], wait: bool) -> Panel:
        own = [(place, self._lines[place]) for place in places]
        first = [p for p, line in own if not wait or self.is_main(line) or line.arm not in self._with_main]
        chosen = self._chosen(first, baseline)
        arms = {self._lines[place].arm for place in chosen}
        return Panel(
            title=fmt.plain(title),
            shown=tuple(chosen),
            ends=self._ends(chosen, baseline),
            second=tuple(p for p in places if p not in first and self._lines[p].arm in arms),
            others=tuple(p for p in places if self._lines[p].arm not in arms),
            baseline=baseline,
        )

    def _chosen(self, places: Sequence[int], baseline: str) -> list[int]:
        """The baseline, the best and the worst, where a panel has more lines than it shows."""
        base = [place for place in places if self._lines[place].arm == baseline]
        rest = [place for place in places if place not in base]
        room = 2 if self.packed else SIX - len(base)
        if len(rest) <= room:
            return [*base, *rest]
        sign = 1 if self._lower else -1
        ranked = sorted(rest, key=lambda place: sign * self._score[self._lines[place].arm])
        return [*base, *ranked[: (room + 1) // 2], *ranked[len(ranked) - room // 2 :]]

    def _ends(self, places: Sequence[int], baseline: str) -> tuple[str, ...]:
        """What stands at the ends of lines: an arm's name once, and of a single arm the metrics."""
        if len(self._arms) == 1:
            return tuple(self._lines[place].label for place in places)
        named: set[str] = set()
        ends = []
        for place in places:
            line = self._lines[place]
            first = line.arm not in named and (self.is_main(line) or line.arm not in self._with_main)
            named |= {line.arm} if first else set()
            ends.append(("baseline" if line.arm == baseline else line.label) if first else "")
        return tuple(ends)

    def _names_of_arms(self) -> Mapping[str, str]:
        """The levels of an arm that others do not share, without the panel's own."""
        skip = int(len(self._titles) > 1)
        known = {arm: self._parts.get(arm, ())[skip:] for arm in self._arms}
        width = min(map(len, known.values()), default=0)
        vary = [place for place in range(width) if len({parts[place] for parts in known.values()}) > 1]
        names = {arm: " / ".join(parts[place] for place in vary) for arm, parts in known.items()}
        clear = all(names.values()) and len({(self._levels[arm], names[arm]) for arm in names}) == len(names)
        return names if clear else dict(zip(self._arms, self._arms, strict=True))

    def labelled(self) -> tuple[Line, ...]:
        """The lines with the names of their arms."""
        return tuple(replace(line, label=line.label or fmt.plain(self._names[line.arm])) for line in self._lines)

    def second(self, panels: Sequence[Panel]) -> str:
        """What the lines behind the switch are called."""
        waiting = any(panel.second for panel in panels)
        return ("evaluation" if self._training else "training") if waiting else ""


def _caption(info: CurvesInfo) -> str:
    if not info.lines:
        return ""
    runs = sorted({line.n for line in info.lines})
    said = [f"Mean over n = {runs[0]}" if len(runs) == 1 else f"Mean over n = {runs[0]} to {runs[-1]}"]
    if any(panel.baseline for panel in info.panels):
        said.append("grey: the baseline")
    if len({line.split == "train" for line in info.lines}) > 1:
        said.append("dotted: training")
    if any(line.reported for line in info.lines):
        said.append("diamonds: reported")
    first = f"{'; '.join(said)}."
    if any(panel.others for panel in info.panels):
        return f"{first} At first the best and the worst by the last epoch are shown; the picker has the others."
    return first
