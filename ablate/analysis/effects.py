"""Main effects and two-way interactions of a grid: the table in which every run speaks for every factor.

Least squares over single runs, with the replicate (the seed) as block. A two-level factor, and each member of a factor
of subsets, is coded -1/+1 with the baseline's level at -1; a factor of more levels is sum-coded. Then, on a full grid,

    two-level factor       its effect: mean at the high level minus mean at the low one
    level of a larger one  its mean minus the mean over all levels of the factor
    a × b                  by how much the effect of one, at that level of the other, exceeds its average effect
                           (for two two-level factors: half the difference of the one's effect at the other's levels)

p is of the t-test with the model's residual, adjusted by Holm over the column's rows; the 95% intervals are
simultaneous by Bonferroni. There is no p where a level of the effect has fewer than three runs, or where nothing is
left over to judge by.

A grid with holes: a main effect stays if the runs tell it apart from the other main effects, an interaction if they
also tell it apart from every other interaction. What they do not is named with what it is confounded with, left out,
and taken as zero.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ablate.analysis import claims, distributions, factorial, notes
from ablate.analysis.compare import LEAST_N, holm
from ablate.analysis.distributions import ALPHA
from ablate.analysis.factorial import Term
from ablate.analysis.layout import arms_of, baseline_levels, column_keys
from ablate.analysis.rows import columns_of
from ablate.analysis.scale import comparison, scale_of
from ablate.analysis.table import Cell, Row, Table
from ablate.analysis.values import Replicates, final
from ablate.study.records import RunResult
from ablate.study.study import Arm, Condition, Reported, Study, TableSpec

_NAMED = 6  # confounded effects and empty cells that a note spells out


@dataclass(frozen=True)
class Effect:
    """One row: estimate with standard error, or `None` where the model leaves nothing over to judge it by."""

    name: str
    levels: Mapping[str, str]
    estimate: float
    error: float | None
    df: int
    n: int
    p: float | None


@dataclass(frozen=True)
class Fit:
    """The effects of one metric, and what could not be told apart."""

    effects: tuple[Effect, ...]
    n: int
    df: int
    left_out: tuple[str, ...]
    empty: tuple[str, ...]
    cells: int


def effects_table(
    study: Study,
    results: Mapping[str, RunResult],
    metric: str,
    *,
    where: Condition | None = None,
    comparable: bool | None = None,
) -> Table:
    """Main effects and two-way interactions on one metric, over all arms or those that `where` keeps.

    Each cell's `delta` is the effect, with its interval, adjusted p, `n` runs behind it and smallest detectable effect.
    Raises StudyError where `where` leaves no arm.
    """
    kept = {f.name: tuple(level.name for level in f.levels) for f in study.factors} | dict(where or {})
    spec = TableSpec(name=f"effects_{metric}", factors=(), kind="effect", where=kept, columns=(metric,))
    return effects_of_table(study, spec, Replicates(study, results), comparable)


def effects_of_table(study: Study, spec: TableSpec, runs: Replicates, comparable: bool | None = None) -> Table:
    """A declared table of kind `effect`: a column for each metric or level, a fit for each level of a row factor."""
    arms = arms_of(study, spec)
    fair, why_not = comparison(study, arms if spec.reported else (), comparable)
    rows: dict[str, tuple[Mapping[str, str], dict[str, Cell]]] = {}
    fits: dict[str, Fit] = {}
    for at in _settings(spec, arms):
        for index, (key, metric) in enumerate(column_keys(spec)):
            fixed = at if spec.column_factor is None else {**at, spec.column_factor: key}
            found = fit(study, spec, [arm for arm in arms if fixed.items() <= arm.levels.items()], runs, metric)
            fits[", ".join([*fixed.values(), metric])] = found
            adjusted = holm([1.0 if effect.p is None else effect.p for effect in found.effects])
            for effect, p in zip(found.effects, adjusted, strict=True):
                name = "/".join([*at.values(), effect.name])
                figures = _reported(spec, name)
                cell = _cell(effect, p, len(found.effects), figures[index] if index < len(figures) else None)
                rows.setdefault(name, ({**at, **effect.levels}, {}))[1][key] = cell
    return Table(
        study=study.name,
        sets=study.sets,
        profile=study.profile,
        name=spec.name,
        kind="effect",
        caption=spec.caption,
        columns=columns_of(study, spec),
        rows=tuple(
            Row(
                name,
                None,
                levels,
                {key: cells.get(key, Cell(note=f"no {metric}")) for key, metric in column_keys(spec)},
            )
            for name, (levels, cells) in rows.items()
        ),
        claims=claims.judge(study, spec, runs),
        comparable=fair,
        not_comparable=why_not,
        test="holm",
        baseline=", ".join(f"{f}={level}" for f, level in baseline_levels(study, spec).items()),
        notes=(*_notes(fits), *notes.about_runs(study, runs, arms, "Missing runs are left out of the model.")),
        scale=scale_of(study, runs, arms),
    )


def _settings(spec: TableSpec, arms: Sequence[Arm]) -> list[dict[str, str]]:
    """Every combination of the row factors' levels that an arm has; one empty one without row factors."""
    found = dict.fromkeys(tuple(arm.levels[factor] for factor in spec.factors) for arm in arms)
    return [dict(zip(spec.factors, levels, strict=True)) for levels in found]


def _reported(spec: TableSpec, name: str) -> Sequence[Reported | None]:
    """The paper's figures of a row; a study file may write `a x b`, `a:b` or `a*b` for `a × b`."""
    names = (name.replace(" × ", sign) for sign in (" × ", " x ", ":", "*"))
    return next((spec.reported[known] for known in names if known in spec.reported), ())


def fit(study: Study, spec: TableSpec, arms: Sequence[Arm], runs: Replicates, metric: str) -> Fit:
    """Least squares of one metric on blocks, main effects and the two-way interactions that can be told apart."""
    import numpy as np
    from statsmodels.regression.linear_model import OLS

    parts = factorial.parts_of(study, spec, [arm for arm in arms if runs.done(arm)])
    observed = _observations(arms, runs, metric)
    values = [value for _, _, value in observed]
    coded = [{part: part.level_of(arm, study) for part in parts} for arm, _, _ in observed]
    cells = factorial.cells(study, parts, arms)
    empty = factorial.empty(cells, coded, parts)
    if not observed:
        return Fit((), 0, 0, (), empty, len(cells))
    mains: list[Term] = [(part,) for part in parts]
    pairs: list[Term] = list(itertools.combinations(parts, 2))
    blocks = factorial.blocks([seed for _, seed, _ in observed])
    kept, left_out = factorial.estimable(blocks, mains, pairs, coded)
    modelled = [*mains, *(term for term in kept if len(term) == 2)]
    design, places = factorial.model_matrix(blocks, modelled, coded)
    columns = factorial.independent(design)
    model = OLS(np.asarray(values), design[:, columns]).fit()
    df = int(model.df_resid)
    judged = df > 0 and model.scale > 1e-20 * max(float(np.var(values)), 1e-300)
    effects = []
    for term in kept:
        thinnest = min(min(Counter(row[part] for row in coded).get(level, 0) for level in part.levels) for part in term)
        for name, levels, weights in factorial.contrasts_of(term, places[term], design.shape[1]):
            contrast = weights[columns]
            error = p = None
            if judged:
                test = model.t_test(contrast)
                error, p = float(np.squeeze(test.sd)), float(np.squeeze(test.pvalue))
            estimate = float(contrast @ model.params)
            effects.append(Effect(name, levels, estimate, error, df, len(values), p if thinnest >= LEAST_N else None))
    return Fit(tuple(effects), len(values), df, tuple(left_out), empty, len(cells))


def _observations(arms: Sequence[Arm], runs: Replicates, metric: str) -> list[tuple[Arm, int, float]]:
    """(arm, seed, value) of every run that is done, arms that are the same run once."""
    read = final(metric)
    found = []
    for arm in {arm.arm_id: arm for arm in reversed(arms)}.values():
        for replicate in runs.of(arm):
            value = read(replicate.result) if replicate.done and replicate.result is not None else None
            if value is not None:
                found.append((arm, replicate.seed, value))
    return found


def _cell(effect: Effect, p_adjusted: float, rows: int, figure: Reported | None) -> Cell:
    reported, text = (figure.value, figure.text) if figure else (None, None)
    if effect.error is None:
        note = "no p: no runs are left over to judge by"
        return Cell(n=effect.n, delta=effect.estimate, reported=reported, reported_text=text, note=note)
    critical = distributions.t_critical(effect.df, ALPHA / rows)
    half = critical * effect.error
    tested = effect.p is not None
    return Cell(
        n=effect.n,
        delta=effect.estimate,
        delta_ci95=(effect.estimate - half, effect.estimate + half),
        p_adjusted=p_adjusted if tested else None,
        decided=tested and p_adjusted < ALPHA,
        detectable=distributions.noncentrality(critical, effect.df) * effect.error if tested else None,
        reported=reported,
        reported_text=text,
        note="" if tested else f"no p: a level of it has fewer than {LEAST_N} runs",
    )


def _notes(fits: Mapping[str, Fit]) -> list[str]:
    said = [
        "Main effects and two-way interactions by least squares over single runs, the replicate (seed) as block. The "
        "effect of two levels is the high one's mean minus the low one's; of a level among more, its mean minus "
        "that over the levels; of a × b, by how much one's effect, at that level of the other, exceeds its average.",
        "p by Holm over the rows of a column, intervals simultaneous by Bonferroni. Decided: adjusted p < 0.05.",
    ]
    for what, found in fits.items():
        if found.n:
            said.append(f"{what}: {found.n} run{'s' * (found.n != 1)}, {found.df} degrees of freedom left over.")
        if found.left_out:
            said.append(f"{what}: left out and taken as zero: {_some(found.left_out, '; ')}.")
        if found.n == 0:
            said.append(f"{what}: no run is done.")
        elif found.empty:
            empty = f"{len(found.empty)} of {found.cells} cells of the grid have no run"
            said.append(f"{what}: {empty}: {_some(found.empty, ', ')}.")
    return said


def _some(names: Sequence[str], between: str) -> str:
    more = len(names) - _NAMED
    return between.join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
