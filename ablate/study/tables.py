"""Tables as a study file declares them: rows, columns, the paper's figures and its claims."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ablate.errors import nearest
from ablate.study.claims import ClaimContext, ClaimError, parse_claim
from ablate.study.factors import match_level, read_condition, read_level
from ablate.study.metrics import CLASS_METRICS, METRICS
from ablate.study.names import UnclearName, resolve
from ablate.study.problems import Problems, show
from ablate.study.source import Key
from ablate.study.study import Claim, Condition, Factor, Reported, TableSpec, Term

KINDS = ("epoch", "class", "effect")
TESTS = ("dunnett", "welch-holm")
KEYS = ("rows", "columns", "metric", "where", "baseline", "reported", "claims", "test", "caption")
_FIGURE = re.compile(r"(?P<number>[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE](?P<power>[-+]?[0-9]+))?)(?P<percent>\s*%)?")


class TableReader:
    """Reads the `tables` block of one study; `metrics` are the names that columns may have."""

    def __init__(
        self, problems: Problems, factors: Sequence[Factor], baseline: Mapping[str, str], metrics: Sequence[str]
    ) -> None:
        self.problems = problems
        self.factors = {factor.name: factor for factor in factors}
        self.baseline = baseline
        self.metrics = tuple(metrics)

    def read(self, value: Any) -> dict[str, TableSpec]:
        tables = self.problems.mapping(("tables",), value, "a mapping of table names")
        return {name: self.table(name, spec) for name, spec in tables.items()}

    def table(self, name: str, spec: Any) -> TableSpec:
        key: Key = ("tables", name)
        if not re.fullmatch(r"[A-Za-z0-9._-]{1,80}", name):
            self.problems.add(key, "a table's name has only letters, digits, '.', '_' and '-'.")
        spec = self.problems.mapping(key, spec, "a mapping with rows and columns")
        self.problems.known_keys(key, spec, KEYS)
        rows, kind = self._rows(key, spec)
        columns, column_factor, metric = self._columns(key, spec, kind)
        where = read_condition(self.problems, (*key, "where"), spec.get("where"), tuple(self.factors.values()), KINDS)
        self._all_placed(key, rows, kind, column_factor, where)
        if column_factor:
            columns = tuple(where.get(column_factor, columns))
        baseline = self._baseline((*key, "baseline"), spec)
        test = spec.get("test", TESTS[0])
        if test not in TESTS:
            self.problems.add((*key, "test"), f"must be one of {', '.join(TESTS)}, not {show(test)}.")
        shown = [self.factors[row] for row in rows]
        table = TableSpec(
            name=name,
            factors=rows,
            kind=kind,
            where=where,
            columns=columns,
            column_factor=column_factor,
            metric=metric,
            row_where=self._row_where(key, spec, kind),
            baseline=baseline,
            reported={},
            claims=(),
            test=str(test),
            caption=str(spec.get("caption") or ""),
        )
        reported = self._reported((*key, "reported"), spec.get("reported"), table, shown)
        claims = self._claims((*key, "claims"), spec.get("claims"), table, shown)
        return TableSpec(**{**table.__dict__, "reported": reported, "claims": claims})

    def _rows(self, key: Key, spec: Mapping[str, Any]) -> tuple[tuple[str, ...], str]:
        if spec.get("rows") is None:
            self.problems.add(key, "needs `rows`: one factor, several, or epoch, class or effect.")
            return (), "arms"
        names = self.problems.names((*key, "rows"), spec["rows"], "a factor, or a list of factors")
        kind = names[-1] if names and names[-1] in KINDS else "arms"
        factors = names if kind == "arms" else names[:-1]
        for index, name in enumerate(factors):
            if name not in self.factors:
                place = (*key, "rows", index) if isinstance(spec["rows"], list) else (*key, "rows")
                hint = nearest(name, [*self.factors, *KINDS])
                self.problems.add(
                    place, f"there is no factor {name!r}.{hint} Allowed: {', '.join([*self.factors, *KINDS])}."
                )
        if len(set(factors)) < len(factors):
            self.problems.add((*key, "rows"), "a factor is there twice.")
        return tuple(name for name in dict.fromkeys(factors) if name in self.factors), kind

    def _columns(self, key: Key, spec: Mapping[str, Any], kind: str) -> tuple[tuple[str, ...], str | None, str | None]:
        value = spec.get("columns")
        default = {"class": list(CLASS_METRICS)}.get(kind, ["top1"])
        names = (
            default
            if value is None
            else self.problems.names((*key, "columns"), value, "a metric, a list of metrics, or a factor")
        )
        metric = spec.get("metric")
        if len(names) == 1 and names[0] in self.factors:
            factor = self.factors[names[0]]
            metric = "top1" if metric is None else str(metric)
            self._check_metric((*key, "metric"), metric, kind)
            return tuple(level.name for level in factor.levels), factor.name, metric
        if metric is not None:
            self.problems.add((*key, "metric"), "is only for tables whose columns are a factor.")
        for index, name in enumerate(names):
            self._check_metric((*key, "columns", index) if isinstance(value, list) else (*key, "columns"), name, kind)
        return tuple(names), None, None

    def _check_metric(self, key: Key, name: str, kind: str) -> None:
        allowed = CLASS_METRICS if kind == "class" else tuple(m for m in self.metrics if m not in CLASS_METRICS)
        if name not in allowed:
            hint = nearest(name, [*allowed, *self.factors])
            self.problems.add(key, f"{name!r} is no metric here.{hint} Metrics: {', '.join(allowed)}.")

    def _all_placed(
        self, key: Key, rows: Sequence[str], kind: str, column_factor: str | None, where: Condition
    ) -> None:
        for name in self.factors:
            if name in rows or name == column_factor or kind == "effect":
                continue
            kept = where.get(name)
            if kept is None:
                self.problems.add(
                    key,
                    f"the factor {name} is in neither rows, columns nor where; nothing is averaged silently. Add it.",
                )
            elif len(kept) != 1:
                self.problems.add(
                    (*key, "where", name), f"must come to one level of {name}, or {name} must stand in rows or columns."
                )

    def _row_where(self, key: Key, spec: Mapping[str, Any], kind: str) -> tuple[str, ...]:
        where = spec.get("where") or {}
        for name in KINDS:
            if isinstance(where, dict) and name in where:
                if name != kind or kind == "effect":
                    self.problems.add((*key, "where", name), f"picks rows only where `rows` ends in {name}.")
                    return ()
                picked = self.problems.names((*key, "where", name), where[name], "a list of rows")
                if kind == "epoch" and not all(text.isdigit() and int(text) > 0 for text in picked):
                    self.problems.add((*key, "where", name), "epochs are whole numbers from 1.")
                return tuple(picked)
        return ()

    def _baseline(self, key: Key, spec: Mapping[str, Any]) -> dict[str, str] | None:
        if spec.get("baseline") is None:
            return None
        found = {}
        for name in self.problems.mapping(key, spec["baseline"], "a mapping of factors to one level"):
            if name not in self.factors:
                self.problems.add((*key, name), f"there is no factor {name!r}.{nearest(name, self.factors)}")
                continue
            level = read_level(
                self.problems, (*key, name), self.factors[name], self.problems.document.scalar_text((*key, name))
            )
            if level is not None:
                found[name] = level
        return found

    def _defaults(self, table: TableSpec) -> dict[str, str]:
        """Levels that a row's name may leave out: the table's baseline, then the study's."""
        return {**self.baseline, **(table.baseline or {})}

    def _reported(
        self, key: Key, value: Any, table: TableSpec, shown: list[Factor]
    ) -> dict[str, tuple[Reported | None, ...]]:
        reported = {}
        for text, figures in self.problems.mapping(key, value, "a mapping of rows to figures").items():
            name = self._row_name((*key, text), text, table, shown)
            places = [(*key, text)] if not isinstance(figures, list) else [(*key, text, i) for i in range(len(figures))]
            if len(places) > len(table.columns):
                self.problems.add((*key, text), f"has {len(places)} figures for {len(table.columns)} columns.")
                continue
            row = [self._figure(place) for place in places]
            if name in reported:
                self.problems.add((*key, text), f"names the row {name}, which is there already.")
            reported[name] = tuple(row + [None] * (len(table.columns) - len(row)))
        return reported

    def _row_name(self, key: Key, text: str, table: TableSpec, shown: list[Factor]) -> str:
        if table.kind == "effect":
            return text
        if table.kind in ("epoch", "class"):
            before, _, last = text.rpartition("/")
            if table.kind == "epoch" and not last.isdigit():
                self.problems.add(key, f"a row of epochs is named by a whole number, not {last!r}.")
            if not shown:
                return text
            return self._levels_name(key, before, table, shown) + "/" + last
        return self._levels_name(key, text, table, shown)

    def _levels_name(self, key: Key, text: str, table: TableSpec, shown: list[Factor]) -> str:
        try:
            return "/".join(resolve(text or "baseline", shown, self._defaults(table)).values())
        except UnclearName as error:
            self.problems.add(key, str(error))
            return text

    def _figure(self, key: Key) -> Reported | None:
        text = self.problems.document.scalar_text(key).strip()
        if text in ("", "null", "~"):
            return None
        figure = read_figure(text)
        if figure is None:
            self.problems.add(key, f"must be a figure such as 0.90 or 76.21%, or null; not {text!r}.")
        return figure

    def _claims(self, key: Key, value: Any, table: TableSpec, shown: list[Factor]) -> tuple[Claim, ...]:
        if value is None:
            return ()
        if not isinstance(value, list):
            self.problems.add(key, "must be a list of claims.")
            return ()
        claims = []
        for index, item in enumerate(value):
            place = (*key, index)
            if isinstance(item, dict) and set(item) == {"prose"}:
                claims.append(Claim(str(item["prose"]), "prose"))
                continue
            try:
                claims.append(parse_claim(self.problems.document.scalar_text(place), self._context(table, shown)))
            except (ClaimError, UnclearName) as error:
                self.problems.add(place, str(error))
        return tuple(claims)

    def _context(self, table: TableSpec, shown: list[Factor]) -> ClaimContext:
        defaults = self._defaults(table)
        if table.column_factor:
            shown = [*shown, self.factors[table.column_factor]]
        by_name = {factor.name: factor for factor in shown}

        def levels(factor: str, text: str) -> str:
            level = match_level(by_name[factor], text) if factor in by_name else None
            if level is None:
                raise ClaimError(f"where {factor}={text} names no level of the table's rows.")
            return level.name

        def rows(fixed: Mapping[str, str]) -> list[Term]:
            kept = [table.where.get(f.name, tuple(level.name for level in f.levels)) for f in shown]
            found = [dict(zip(by_name, names, strict=True)) for names in itertools.product(*kept)]
            return [
                Term("/".join(row.values()), row)
                for row in found
                if all(row[name] == level for name, level in fixed.items())
            ]

        metrics = (table.metric,) if table.metric else table.columns
        return ClaimContext(
            resolve=lambda text, fixed: resolve(text, shown, {**defaults, **fixed}),
            rows=rows,
            metric=metrics[0] if metrics else "top1",
            metrics=tuple(metrics),
            levels=levels,
        )


def read_figure(text: str) -> Reported | None:
    """A figure as printed, `0.90` or `76.21%`; None where it is none."""
    found = _FIGURE.fullmatch(text)
    if not found:
        return None
    mantissa = re.split(r"[eE]", found["number"])[0]
    decimals = len(mantissa.partition(".")[2]) - int(found["power"] or 0)
    percent = found["percent"] is not None
    value = float(found["number"]) / (100 if percent else 1)
    return Reported(text, value, decimals, percent)


def default_tables(factors: Sequence[Factor]) -> dict[str, TableSpec]:
    """What a study without tables gets: every arm, top-1 and top-5."""
    names = tuple(factor.name for factor in factors)
    return {"top1_top5": TableSpec("top1_top5", names, "arms", {}, ("top1", "top5"))}


def known_metrics(declared: Mapping[str, str]) -> tuple[str, ...]:
    """The metrics that tables may name: ours, and those that the study's own trainer declares."""
    return (*METRICS, *(name for name in declared if name not in METRICS))
