"""Tables as a study file declares them: rows, columns, the paper's figures and its claims."""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ablate.errors import nearest
from ablate.study.designs.factors import match_level, read_baseline, read_condition
from ablate.study.designs.names import Levels, UnclearName, resolve
from ablate.study.document.keys import TABLE
from ablate.study.document.problems import Problems, show
from ablate.study.document.source import Key
from ablate.study.tables.claim_specs import ClaimContext, ClaimError, parse_claim
from ablate.study.tables.reported import EPOCH, ReportedReader, left_out_by
from ablate.study.values.metrics import CLASS_METRICS, METRICS, SPLITS, MetricName, metric_name
from ablate.study.values.study import Claim, Condition, Factor, TableSpec, Term

KINDS = ("epoch", "class", "effect")
MAIN = "main"
"""All that `where: {effect: ...}` can be: main effects are shown alone."""
TESTS = ("moderated", "dunnett", "welch-holm")


@dataclass
class TableReader:
    """Reads the `tables` block of one study.

    `metrics` are the names that columns may have, `declared` those of the study's own trainer, `better` the directions of those
    that are not ours, `usual` the one that is meant where none is named; `steps` the levels at each step of a path; `arms` the
    levels of every arm of the grid, None where it is not known.
    """

    problems: Problems
    factors: Mapping[str, Factor]
    baseline: Levels
    metrics: Sequence[str]
    steps: Mapping[str, Levels]
    arms: Sequence[Levels] | None
    better: Mapping[str, str]
    usual: str
    declared: Collection[str]

    def read(self, value: object) -> dict[str, TableSpec]:
        tables = self.problems.mapping(("tables",), value, "a mapping of table names")
        return {name: self.table(name, spec) for name, spec in tables.items()}

    def table(self, name: str, spec: object) -> TableSpec:
        key: Key = ("tables", name)
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,80}", name) or not name.strip("."):
            self.problems.add(
                key, "bad-name", "a table name may only contain letters, digits, '.', '_' and '-', at most 80 of them."
            )
        spec = self.problems.mapping(key, spec, "a mapping with rows and columns")
        self.problems.known_keys(key, spec, TABLE)
        told = len(self.problems.errors)
        table = self._layout(key, spec, name)
        if len(self.problems.errors) > told:  # what rows and figures mean hangs on the layout
            return table
        shown = [self.factors[row] for row in table.factors]
        defaults = {**self.baseline, **(table.baseline or {})}
        reader = ReportedReader(self.problems, table, shown, defaults, self.steps)
        reported = reader.read((*key, "reported"), spec.get("reported"))
        table = replace(table, reported=reported)
        claims = self._claims((*key, "claims"), spec.get("claims"), table, self._context(table, shown, defaults))
        return replace(table, claims=claims)

    def _layout(self, key: Key, spec: Mapping[str, Any], name: str) -> TableSpec:
        rows, kind = self._rows(key, spec)
        columns, column_factor, metric = self._columns(key, spec, kind)
        factors = tuple(self.factors.values())
        told = len(self.problems.errors)
        where = read_condition(self.problems, (*key, "where"), spec.get("where"), factors, KINDS)
        if len(self.problems.errors) == told or not where:
            self._all_placed(key, rows, kind, column_factor, where)
        baseline = spec.get("baseline")
        test = spec.get("test", TESTS[0])
        if test not in TESTS:
            self.problems.refuse((*key, "test"), f"one of {', '.join(TESTS)}", test, code="wrong-value")
        if baseline is not None and not baseline:
            self.problems.add((*key, "baseline"), "empty", "is empty; leave it out to use the study's baseline.")
        return TableSpec(
            name=name,
            factors=rows,
            kind=kind,
            where=where,
            columns=tuple(where.get(column_factor, columns)) if column_factor else columns,
            column_factor=column_factor,
            metric=metric,
            row_where=self._row_where(key, spec, kind),
            baseline=None if baseline is None else read_baseline(self.problems, (*key, "baseline"), baseline, factors),
            test=str(test),
            caption=self.problems.text((*key, "caption"), "a line of text"),
        )

    def _rows(self, key: Key, spec: Mapping[str, Any]) -> tuple[tuple[str, ...], str]:
        if spec.get("rows") is None:
            self.problems.add(key, "missing", "needs `rows`: one factor, several, or epoch, class or effect.")
            return (), "arms"
        names = self.problems.names((*key, "rows"), spec["rows"], "a factor, or a list of factors")
        kind = names[-1] if names and names[-1] in KINDS else "arms"
        factors = names if kind == "arms" else names[:-1]
        for index, name in enumerate(factors):
            place = (*key, "rows", index) if isinstance(spec["rows"], list) else (*key, "rows")
            if name in KINDS:
                self.problems.add(
                    place, "conflict", f"{name} must come last in rows; only one of {', '.join(KINDS)} is allowed."
                )
            elif name not in self.factors:
                known = [*self.factors, *KINDS]
                message = f"unknown factor {name!r}.{nearest(name, known)} Allowed: {', '.join(known)}."
                self.problems.add(place, "unknown-name", message)
        if len(set(factors)) < len(factors):
            self.problems.add((*key, "rows"), "duplicate", "a factor is listed twice.")
        return tuple(name for name in dict.fromkeys(factors) if name in self.factors), kind

    def _columns(self, key: Key, spec: Mapping[str, Any], kind: str) -> tuple[tuple[str, ...], str | None, str | None]:
        value = spec.get("columns")
        default = {"class": list(CLASS_METRICS)}.get(kind, [self.usual])
        names = (
            default
            if value is None
            else self.problems.names((*key, "columns"), value, "a metric, a list of metrics, or a factor")
        )
        names = [name if name in self.factors else metric_name(name) for name in names]
        metric = metric_name(self.problems.text((*key, "metric"), "a metric")) or None
        if not names and value is not None and isinstance(value, list) and not value:
            self.problems.add((*key, "columns"), "empty", "needs at least one column.")
        if len(set(names)) < len(names):
            self.problems.add((*key, "columns"), "duplicate", "a column is listed twice.")
        if len(names) == 1 and names[0] in self.factors:
            factor = self.factors[names[0]]
            metric = metric or ("f1" if kind == "class" else self.usual)
            self._check_metric((*key, "metric"), metric, kind)
            return tuple(level.name for level in factor.levels), factor.name, metric
        if metric is not None:
            self.problems.add((*key, "metric"), "unsupported", "only works if the columns are a factor.")
        for index, name in enumerate(names):
            self._check_metric((*key, "columns", index) if isinstance(value, list) else (*key, "columns"), name, kind)
        return tuple(names), None, None

    def _check_metric(self, key: Key, name: str, kind: str) -> None:
        ours = [m for m in CLASS_METRICS if m not in self.declared]
        allowed = CLASS_METRICS if kind == "class" else tuple(m for m in self.metrics if m not in ours)
        if name not in allowed:
            hint = nearest(name, [*allowed, *self.factors])
            self.problems.add(key, "unknown-metric", f"unknown metric {name!r}.{hint} Metrics: {', '.join(allowed)}.")

    def _all_placed(
        self, key: Key, rows: Sequence[str], kind: str, column_factor: str | None, where: Condition
    ) -> None:
        for name in self.factors:
            kept = where.get(name)
            if name in rows and name == column_factor:
                self.problems.add(key, "conflict", f"factor {name} is in both rows and columns; keep one.")
            elif kept == ():
                self.problems.add((*key, "where", name), "empty", f"selects no level of {name}.")
            elif name in rows or name == column_factor or kind == "effect":
                continue
            elif kept is None:
                message = f"factor {name} must be in rows, columns or where; ablate does not average over it."
                self.problems.add(key, "ambiguous", message)
            elif len(kept) != 1:
                message = f"must select one level of {name}, or put {name} in rows or columns."
                self.problems.add((*key, "where", name), "ambiguous", message)

    def _row_where(self, key: Key, spec: Mapping[str, Any], kind: str) -> tuple[str, ...]:
        where = spec.get("where")
        for name in KINDS:
            if isinstance(where, dict) and name in where:
                place = (*key, "where", name)
                if name != kind:
                    self.problems.add(place, "unsupported", f"only works if `rows` ends in {name}.")
                    return ()
                if kind == "effect":
                    return self._main_alone(place, where[name])
                picked = self.problems.names(place, where[name], "a row or a list of rows")
                if kind == "epoch" and not all(EPOCH.fullmatch(text) for text in picked):
                    self.problems.add(place, "out-of-range", "epochs must be whole numbers from 1.")
                elif where[name] == []:
                    self.problems.add(place, "empty", "selects no row.")
                return tuple(dict.fromkeys(picked))
        return ()

    def _main_alone(self, place: Key, value: object) -> tuple[str, ...]:
        if value != MAIN:
            self.problems.refuse(place, f"{MAIN}, which leaves interactions out", value, code="wrong-value")
        return (MAIN,)

    def _claims(self, key: Key, value: object, table: TableSpec, context: ClaimContext) -> tuple[Claim, ...]:
        if value is None:
            return ()
        if not isinstance(value, list):
            self.problems.refuse(key, "a list of claims", value)
            return ()
        claims = []
        for index, item in enumerate(value):
            place = (*key, index)
            if isinstance(item, dict) and set(item) == {"prose"}:
                claims.append(Claim(self.problems.text((*place, "prose"), "a sentence"), "prose"))
            elif isinstance(item, dict | list | None):
                self.problems.add(
                    place, "wrong-type", f"a claim is a line of text or {{prose: ...}}, not {show(item)}; quote it."
                )
            else:
                try:
                    claims.append(parse_claim(self.problems.document.scalar_text(place), context))
                except (ClaimError, UnclearName) as error:
                    self.problems.add(place, error.code, str(error))
        return tuple(claims)

    def _context(self, table: TableSpec, shown: list[Factor], defaults: Levels) -> ClaimContext:
        if table.column_factor:
            shown = [*shown, self.factors[table.column_factor]]
        by_name = {factor.name: factor for factor in shown}

        def levels(name: str, text: str) -> str:
            if name not in by_name:
                listed = ", ".join(by_name) or "none"
                raise ClaimError(f"where {name}={text}: unknown factor {name!r}. Factors: {listed}.", "unknown-name")
            level = match_level(by_name[name], text)
            if level is None:
                known = [level.name for level in by_name[name].levels]
                raise ClaimError(
                    f"where {name}={text}: {name} has no level {text!r}.{nearest(text, known)}", "unknown-name"
                )
            return level.name

        def row(text: str, fixed: Levels) -> Levels:
            found = resolve(text, shown, {**defaults, **fixed}, self.steps)
            if other := next((f"{name}={level}" for name, level in fixed.items() if found[name] != level), None):
                raise ClaimError(f"{text!r} is not a row where {other}.", "unknown-name")
            if left_out := left_out_by(table, found):
                raise ClaimError(f"{text!r} is not a row of this table; its where excludes {left_out}.", "unknown-name")
            return found

        metrics = (table.metric,) if table.metric else table.columns
        return ClaimContext(
            resolve=row,
            rows=lambda fixed: self._row_terms(table, shown, fixed),
            metric=metrics[0] if metrics else self.usual,
            metrics=tuple(metrics),
            better=self.better,
            levels=levels,
            percent=frozenset(name for name in metrics if table.in_percent(name)),
        )

    def _row_terms(self, table: TableSpec, shown: Sequence[Factor], fixed: Levels) -> list[Term]:
        """Every row of the table that is in the grid and has the fixed levels.

        Where a design or a profile leaves too little of the table to compare, all rows that it could have: the claim then stays
        undecided, and the plan warns of it.
        """
        in_grid = _terms(shown, fixed, (arm for arm in self.arms or () if not left_out_by(table, arm)))
        if len(in_grid) > 1:
            return in_grid
        kept = [table.where.get(f.name, tuple(level.name for level in f.levels)) for f in shown]
        names = [factor.name for factor in shown]
        return _terms(shown, fixed, (dict(zip(names, row, strict=True)) for row in itertools.product(*kept)))


def _terms(shown: Sequence[Factor], fixed: Levels, arms: Iterable[Levels]) -> list[Term]:
    found: dict[str, Term] = {}
    for arm in arms:
        row = {factor.name: arm[factor.name] for factor in shown}
        if all(row[name] == level for name, level in fixed.items()):
            found.setdefault("/".join(row.values()), Term("/".join(row.values()), row))
    return list(found.values())


def default_tables(factors: Sequence[Factor], declared: Sequence[str] = ()) -> dict[str, TableSpec]:
    """What a study without tables gets: every arm, with the metrics that its own trainer declares, else top-1 and top-5."""
    names = tuple(factor.name for factor in factors)
    if declared:
        return {"metrics": TableSpec("metrics", names, "arms", {}, tuple(declared))}
    return {"top1_top5": TableSpec("top1_top5", names, "arms", {}, ("top1", "top5"))}


def known_metrics(declared: Mapping[str, Any]) -> tuple[str, ...]:
    """The metrics that tables may name: ours, and those that the study's own trainer declares, on any split."""
    own = [name for name in declared if name not in METRICS]
    split = [str(MetricName(split, name)) for split in SPLITS for name in own]
    return tuple(dict.fromkeys((*own, *METRICS, *split)))
