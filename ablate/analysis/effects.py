"""Main effects and two-way interactions of a grid: the table in which every run speaks for every factor.

Least squares over single runs, with the replicate (the seed) as block. A two-level factor, and each member of a factor
of subsets, is coded -1/+1 with the baseline's level at -1; a factor of more levels is sum-coded. Then, on a full grid,

    two-level factor       its effect: mean at the high level minus mean at the low one
    level of a larger one  its mean minus the mean over all levels of the factor
    a × b                  by how much the effect of one, at that level of the other, exceeds its average effect
                           (for two two-level factors: half the difference of the one's effect at the other's levels)

An effect is a weighted sum of the arms' means, w its least-squares weights. Its variance is the sum of w^2 q / n over the
arms, q by the table's rule (see `variance`) with all arms of the model as the family. With one run an arm there is no
such q, and under `dunnett` one variance is meant for all: then it is the model's residual. p is times the number of
effects in the column, and the 95% intervals have the same critical value. There is no p where a level of the effect has
fewer than three runs, where an arm's values are all equal, or where no residual degrees of freedom are left.

While any arm of the model lacks a run, or is in doubt, the effects are estimated from what there is, and nothing is
decided: what is left of an arm that lost runs is a selection.

A grid with holes: an effect is estimated by itself where the runs tell it apart from every other main effect and
two-way interaction. A main effect that they tell apart from the other main effects only is named as the sum that it is,
`c - a × b`. The others are named with what they are confounded with, and left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ablate.analysis import cautions, claims, distributions, factorial, notes
from ablate.analysis.aggregate import aggregate
from ablate.analysis.compare import single_step
from ablate.analysis.distributions import ALPHA
from ablate.analysis.layout import arms_of, baseline_levels, column_keys, reported
from ablate.analysis.least_squares import RESIDUAL, Effect, Fit, fit
from ablate.analysis.rows import empty_table
from ablate.analysis.scale import comparison, scale_of
from ablate.analysis.table import Cell, Row, Table
from ablate.analysis.values import Replicates
from ablate.analysis.variance import suspect
from ablate.study.values.study import Arm, Reported, Study, TableSpec

IF_MISSING = "Missing runs are left out of the model, and while there are any no effect is decided."

_NAMED = 6  # confounded effects and empty cells that a note spells out


def effects_of_table(study: Study, spec: TableSpec, runs: Replicates) -> Table:
    """A declared table of kind `effect`: a column for each metric or level, a fit for each level of a row factor."""
    arms = arms_of(study, spec)
    fair, why_not = comparison(study, arms if spec.reported else ())
    rows: dict[str, tuple[Mapping[str, str], dict[str, Cell]]] = {}
    fits: dict[str, Fit] = {}
    for at in _conditions(spec, arms):
        for index, (key, metric) in enumerate(column_keys(spec)):
            fixed = at if spec.column_factor is None else {**at, spec.column_factor: key}
            found = fit(study, spec, [arm for arm in arms if fixed.items() <= arm.levels.items()], runs, metric)
            fits[", ".join([*fixed.values(), metric])] = found
            adjusted = single_step([1.0 if effect.p is None else effect.p for effect in found.effects])
            for effect, p in zip(found.effects, adjusted, strict=True):
                if spec.row_where and " × " in effect.base:
                    continue  # not shown, but of the family
                name = "/".join([*at.values(), effect.name])
                figures = _reported(spec, "/".join([*at.values(), effect.base]))
                cell = _cell(effect, p, found, figures[index] if index < len(figures) else None)
                rows.setdefault(name, ({**at, **effect.levels}, {}))[1][key] = cell
    keys = column_keys(spec)
    return replace(
        empty_table(study, spec),
        rows=tuple(
            Row(name, None, levels, {key: cells.get(key, Cell(note=f"no {metric}")) for key, metric in keys})
            for name, (levels, cells) in rows.items()
        ),
        claims=claims.judge(study, spec, runs),
        comparable=fair,
        not_comparable=why_not,
        baseline=", ".join(f"{f}={level}" for f, level in baseline_levels(study, spec).items()),
        notes=(*_notes(study, spec, fits), *notes.about_runs(study, runs, arms, IF_MISSING)),
        behind=() if spec.factors or spec.column_factor else _behind(arms, fits, keys),
        instead=_instead(study, spec, arms),
        scale=scale_of(study, runs, arms),
    )


def _behind(arms: Sequence[Arm], fits: Mapping[str, Fit], columns: Sequence[tuple[str, str]]) -> tuple[Row, ...]:
    """The arms with their means: a row each, also of those that are the same run."""
    samples = {key: {sample.key: sample for sample in fits[metric].samples} for key, metric in columns}
    rows = []
    for arm in arms:
        cells = {}
        for key, by_arm in samples.items():
            own = by_arm[arm.arm_id]
            told = aggregate(own.values)
            cells[key] = Cell(told.mean, told.sd, told.n, own.planned, told.ci95, run_ids=own.run_ids, note=own.note)
        rows.append(Row(arm.name, arm.name, arm.levels, cells))
    return tuple(rows)


def _instead(study: Study, spec: TableSpec, arms: Sequence[Arm]) -> dict[str, str]:
    """The level that the effect of each factor of two levels starts from, by the effect's name."""
    mains = (part for part in factorial.parts_of(study, spec, arms) if part.member is None and part.two_level)
    return {part.shown()[0][0]: part.levels[0] for part in mains}


def _conditions(spec: TableSpec, arms: Sequence[Arm]) -> list[dict[str, str]]:
    """Every combination of the row factors' levels that an arm has; one empty one without row factors."""
    found = dict.fromkeys(tuple(arm.levels[factor] for factor in spec.factors) for arm in arms)
    return [dict(zip(spec.factors, levels, strict=True)) for levels in found]


def _reported(spec: TableSpec, name: str) -> Sequence[Reported | None]:
    """The paper's figures of a row; a study file may write `a x b`, `a:b` or `a*b` for `a × b`."""
    return reported(spec, (name.replace(" × ", sign) for sign in (" × ", " x ", ":", "*")))


def _cell(effect: Effect, p_adjusted: float, found: Fit, figure: Reported | None) -> Cell:
    interval = smallest = None
    if effect.error is not None:
        critical = distributions.t_critical(effect.df, ALPHA / len(found.effects))
        half = critical * effect.error
        interval = (effect.estimate - half, effect.estimate + half)
        smallest = distributions.noncentrality(critical, effect.df) * effect.error
    tested = effect.p is not None
    return Cell(
        n=found.n,
        planned=found.planned,
        delta=effect.estimate,
        delta_ci95=interval,
        p_adjusted=p_adjusted if tested else None,
        decided=tested and p_adjusted < ALPHA,
        test=found.test if effect.error is not None else "",
        detectable=smallest if tested else None,
        reported=figure.value if figure else None,
        reported_text=figure.text if figure else None,
        run_ids=found.run_ids,
        note=effect.why_not,
    )


def _notes(study: Study, spec: TableSpec, fits: Mapping[str, Fit]) -> list[str]:
    said = [
        "Main effects and two-way interactions by least squares over single runs, the replicate (seed) as block. The "
        "effect of two levels is the high one's mean minus the low one's; of a level among more, its mean minus "
        "that over the levels; of a × b, by how much one's effect, at that level of the other, exceeds its average.",
        *cautions.about_effects(study, spec, {found.test for found in fits.values() if found.test}),
    ]
    if spec.row_where:
        said.append("Interactions are left out of this table; they stay in the model, and p is adjusted for them too.")
    if RESIDUAL in {found.test for found in fits.values()}:
        said += filter(None, [suspect([found.samples for found in fits.values()])])
    for what, found in fits.items():
        sums = [effect.name for effect in found.effects if effect.name != effect.base]
        if found.n:
            said.append(f"{what}: {found.n} run{'s' * (found.n != 1)}, {found.df} degrees of freedom left over.")
        if sums:
            said.append(f"{what}: confounded, and named as the sum that it is: {notes.some(sums, _NAMED, '; ')}.")
        if found.left_out:
            said.append(f"{what}: left out: {notes.some(found.left_out, _NAMED, '; ')}.")
        if found.n == 0:
            said.append(f"{what}: no run is done.")
        elif found.empty:
            empty = f"{len(found.empty)} of {found.cells} cells of the grid have no run"
            said.append(f"{what}: {empty}: {notes.some(found.empty, _NAMED)}.")
    return said
