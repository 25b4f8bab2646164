"""The sentences under a table about how it decides: the test, where it is unsafe, and why two p of one question differ."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from ablate.analysis.table import Cell, Row
from ablate.analysis.values import Sample
from ablate.analysis.variance import suspect
from ablate.study.values.study import Study, TableSpec

DECIDED = "Decided: adjusted p < 0.05."
_RULES = {
    "moderated": "t-tests with moderated variances (Smyth 2004; an arm's own where that is larger)",
    "dunnett": "Dunnett's test with a variance pooled over the family's arms",
    "pooled-holm": "t-tests with a variance pooled over the steps",
    "welch-holm": "Welch's t-tests",
    "welch": "Welch's t-tests (too few arms vary to moderate)",
    "residual": "t-tests with the model's residual variance",
}
_SINGLE_STEP = ", p times the number of comparisons; 95% intervals simultaneous by the same rule"
_ADJUSTED = {
    "dunnett": "; simultaneous 95% intervals",
    "pooled-holm": ", Holm over the steps; 95% intervals simultaneous by Bonferroni",
    "welch-holm": ", p adjusted by Holm; 95% intervals simultaneous by Bonferroni",
}


def about_test(study: Study, spec: TableSpec, rows: Sequence[Row]) -> Iterable[str]:
    """How the rows of a table over arms, epochs or classes are tested; nothing where there is no comparison."""
    if all(cell.delta is None for row in rows for cell in row.cells.values()):
        return
    path = study.design == "path"
    within = {"epoch": ", each epoch by itself", "class": ", each class by itself"}.get(spec.kind, "")
    test = "pooled-holm" if path and spec.test == "dunnett" else spec.test
    to = "the step before" if path else "the baseline"
    yield (
        f"Differences from {to}: {_RULES[test]}{_ADJUSTED.get(test, _SINGLE_STEP)}; one family a column{within}; not "
        f"paired by seed. {DECIDED}"
    )


def about_rows(study: Study, spec: TableSpec, rows: Sequence[Row], families: Sequence[Sequence[Sample]]) -> list[str]:
    """What a reader must know before trusting a row's verdict. `families` hold the samples that were judged together."""
    cells = [cell for row in rows for cell in row.cells.values()]
    said = [suspect(families)] if spec.test == "dunnett" else []
    beside = sum(map(_beside_zero, cells))
    if beside:
        said.append(
            f"{beside} difference{'s are' if beside > 1 else ' is'} decided beside an interval that holds zero: p is "
            "adjusted by Holm, the interval by Bonferroni, which is wider."
        )
    if any(claim.kind != "prose" for claim in spec.claims) and any(cell.p_adjusted is not None for cell in cells):
        effects = any(table.kind == "effect" for table in study.tables.values())
        other = " An effect is about the average over the other factors, so its p differs as well." if effects else ""
        said.append(
            "A claim is a family of its own, so its p is not adjusted for the table's other rows and may be below the "
            f"row's for the same difference.{other}"
        )
    return [sentence for sentence in said if sentence]


def about_effects(study: Study, spec: TableSpec, tests: Collection[str]) -> Iterable[str]:
    """How effects are tested, by the rules that were used."""
    for test in sorted(tests):
        single = test == "residual" and spec.test != "dunnett"
        once = " (one run an arm, so no arm has a variance of its own)" if single else ""
        yield (
            f"Effects: {_RULES[test]}{once}, p times the number of effects in the column; 95% intervals simultaneous by "
            f"the same rule. {DECIDED}"
        )
    if tests and (spec.claims or len(study.tables) > 1):
        yield (
            "An effect averages over the other factors, and its p is adjusted over the effects, so it differs from "
            "the p of a row or a claim about one pair of arms."
        )


def _beside_zero(cell: Cell) -> bool:
    return cell.decided and cell.delta_ci95 is not None and cell.delta_ci95[0] <= 0 <= cell.delta_ci95[1]
