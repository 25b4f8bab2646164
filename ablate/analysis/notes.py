"""The sentences under a table: the test, what is missing, and what a reader must know before trusting a number."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ablate.analysis import resampling
from ablate.analysis.layout import column_keys
from ablate.analysis.scale import setting
from ablate.analysis.table import Row
from ablate.analysis.values import Replicates, counted_by
from ablate.study.metrics import SPLITS
from ablate.study.records import RunResult
from ablate.study.study import Arm, Study, TableSpec

IF_MISSING = "Missing runs leave an arm's comparisons undecided."
STALE = "Stale: "
"""How a note begins that holds beside the present code only."""
MOST_NAMED = 4
"""So many arms with missing runs are named one by one; more are counted."""

_COSTS = ("seconds", "examples_per_second", "peak_memory")


def notes_of(
    study: Study, spec: TableSpec, runs: Replicates, arms: Sequence[Arm], rows: Sequence[Row]
) -> tuple[str, ...]:
    """All notes of a table over arms, epochs or classes, most telling first; `arms` holds the baselines too."""
    return (
        *_test(study, spec, rows),
        *_replicates(study, rows),
        *(_counted(spec, runs, arms) if spec.kind == "epoch" else ()),
        *about_runs(study, runs, arms, IF_MISSING),
    )


def about_runs(study: Study, runs: Replicates, arms: Sequence[Arm], if_missing: str) -> tuple[str, ...]:
    """The notes that hold for whatever is worked out from these arms; `if_missing` says what missing runs do to it."""
    results = [result for arm in _distinct(arms) for result in runs.done(arm)]
    return (
        *_missing(runs, arms, if_missing),
        *_merged(arms),
        *_bit_equal(runs, arms),
        *_equal_arms(runs, arms),
        *(_selection(study, arms, results) if study.trainer is None else ()),
        *(_splits(arms, len(study.seeds)) if study.trainer is None else ()),
        *_mixed(results),
    )


def _test(study: Study, spec: TableSpec, rows: Sequence[Row]) -> Iterable[str]:
    if all(cell.delta is None for row in rows for cell in row.cells.values()):
        return
    path = study.design == "path"
    within = {"epoch": ", each epoch by itself", "class": ", each class by itself"}.get(spec.kind, "")
    if path:
        spread = "a variance pooled over the steps" if spec.test == "dunnett" else "Welch's t"
        test = f"t-tests with {spread}, Holm over the steps; 95% intervals simultaneous by Bonferroni"
    elif spec.test == "dunnett":
        test = "Dunnett's test with a variance pooled over the family's arms; simultaneous 95% intervals"
    else:
        test = "Welch's t-tests, p adjusted by Holm; 95% intervals simultaneous by Bonferroni"
    to = "the step before" if path else "the baseline"
    yield f"Differences from {to}: {test}; one family a column{within}; not paired by seed. Decided: adjusted p < 0.05."


def _replicates(study: Study, rows: Sequence[Row]) -> Iterable[str]:
    counts = [cell.n for row in rows for cell in row.cells.values() if cell.n]
    if not counts:
        yield "No run of this table is done."
        return
    low, high = min(counts), max(counts)
    said = "n = 1 run" if high == 1 else f"n = {low} runs" if low == high else f"n = {low} to {high} runs"
    few = "; below n = 3 nothing is decided" if low < 3 else ""
    yield f"{said} a cell, of {len(study.seeds)} planned{few}."


def _counted(spec: TableSpec, runs: Replicates, arms: Sequence[Arm]) -> Iterable[str]:
    """What an output without epochs does to a curve."""
    results = [result for arm in _distinct(arms) for result in runs.done(arm)]
    for metric in dict.fromkeys(metric for _, metric in column_keys(spec)):
        counted = [result for result in results if counted_by(result, metric) == "match"]
        if not counted:
            continue
        again = sum(len(result.attempts) > 1 for result in counted)
        anew = f" {again} of {len(counted)} runs took several attempts, and each counts from 1." if again else ""
        yield f"The output names no epochs for {metric}: its lines were counted.{anew}"


def _missing(runs: Replicates, arms: Sequence[Arm], if_missing: str) -> Iterable[str]:
    samples = [runs.sample(arm, lambda result: 0.0, "") for arm in arms]
    short = [sample for sample in samples if not sample.complete]
    if len(short) > MOST_NAMED:
        found = sum(sample.n for sample in samples)
        planned = sum(sample.planned for sample in samples)
        yield f"{if_missing} {len(short)} of {len(samples)} arms lack some: {found} of {planned} runs are done."
    elif short:
        said = ", ".join(f"{sample.name}: {sample.note}" for sample in short)
        yield f"{if_missing} {said}."


def _merged(arms: Sequence[Arm]) -> Iterable[str]:
    merged = [arm for arm in arms if arm.merged_into is not None]
    for why in dict.fromkeys(arm.why for arm in merged):
        same = [arm for arm in merged if arm.why == why]
        others = f", and {len(same) - 1} arms more likewise" if len(same) > 2 else ""
        shown = same[:1] if others else same
        said = "; ".join(f"{arm.name} is the same run as {arm.merged_into}" for arm in shown)
        yield f"{said}{others}" + (f": {why}." if why else ".")


def _bit_equal(runs: Replicates, arms: Sequence[Arm]) -> Iterable[str]:
    for arm in _distinct(arms):
        seeds_by_numbers: dict[Any, list[int]] = {}
        for replicate in runs.of(arm):
            if replicate.done and replicate.result is not None and replicate.result.metrics:
                seeds_by_numbers.setdefault(_numbers(replicate.result), []).append(replicate.seed)
        for seeds in seeds_by_numbers.values():
            if len(seeds) > 1:
                listed = f"{', '.join(map(str, seeds[:-1]))} and {seeds[-1]}"
                yield f"{arm.name}: seeds {listed} came out bit-equal: the seed did not reach the training."


def _equal_arms(runs: Replicates, arms: Sequence[Arm]) -> Iterable[str]:
    """Arms with other recipes and the same numbers: most likely a setting that a script does not read."""
    names_by_numbers: dict[Any, list[str]] = {}
    for arm in _distinct(arms):
        found = {
            r.seed: _numbers(r.result) for r in runs.of(arm) if r.done and r.result is not None and r.result.metrics
        }
        if len(found) > 1:  # one run of a coarse metric may well agree by chance
            names_by_numbers.setdefault(tuple(sorted(found.items())), []).append(arm.name)
    for names in names_by_numbers.values():
        if len(names) > 1:
            shown = f"{', '.join(names[:MOST_NAMED])}{' and others' if len(names) > MOST_NAMED else ''}"
            yield f"{shown} came out bit-equal: perhaps what tells them apart did not reach the training."


def _numbers(result: RunResult) -> Any:
    """All that a run measured, costs aside."""

    def kept(metrics: Mapping[str, float]) -> Any:
        return tuple(sorted((name, value) for name, value in metrics.items() if not name.endswith(_COSTS)))

    return kept(result.metrics), tuple((epoch, kept(result.epochs[epoch])) for epoch in sorted(result.epochs))


def _selection(study: Study, arms: Sequence[Arm], results: Sequence[RunResult]) -> Iterable[str]:
    reported = {result.reported_split for result in results if result.reported_split}
    selectors: dict[str, str] = {}
    for arm in arms:
        select = str(arm.recipe.get("select", "last"))
        stopping = setting(arm.recipe, "early_stopping", "metric")
        if select != "last":
            selectors.setdefault(select, "the best epoch")
        if stopping is not None and setting(arm.recipe, "early_stopping", "patience") is not None:
            selectors.setdefault(str(stopping), "when to stop")
    for metric, what in selectors.items():
        split = metric.partition("_")[0]
        if split in SPLITS and (split in reported or split == "test"):
            yield f"The {split} set also chose {what} (by {metric}), so the scores reported on it are optimistic."
    if study.tune and "val" in reported:
        yield "Tuning selects on the validation set, so the scores reported on it are optimistic."


def _splits(arms: Sequence[Arm], n: int) -> Iterable[str]:
    for arm in arms:
        split = setting(arm.recipe, "data", "split")
        if not isinstance(split, Mapping) or split.get("test") == "official":
            continue
        if n > 1:
            train = float(split.get("train", 1.0))
            scored = float(split.get("test", split.get("val", 0.0)))
            wider = resampling.widening(n, scored / train) if train else 1.0
            yield (
                "The seed draws the split, and random re-splits overlap, so these intervals are too narrow: paired by "
                f"seed and corrected (Nadeau and Bengio 2003), one of n = {n} is {wider:.2f} times as wide as a plain "
                "paired one."
            )
        return


def _mixed(results: Sequence[RunResult]) -> Iterable[str]:
    prints: dict[str, int] = {}
    for result in results:
        fingerprint = result.attempts[-1].fingerprint if result.attempts else None
        if fingerprint:
            prints[fingerprint] = prints.get(fingerprint, 0) + 1
    if len(prints) > 1:
        shares = " + ".join(str(count) for count in sorted(prints.values(), reverse=True))
        yield f"Mixed: {len(prints)} numerics fingerprints ({shares} runs), so bits differ by more than the seed."
    stale = sum(result.stale for result in results)
    if stale:
        yield (
            f"{STALE}{stale} of {len(results)} runs were trained by other code of the trainer than the present; "
            "`ablate grid run` with --retry stale trains them again."
        )


def _distinct(arms: Iterable[Arm]) -> list[Arm]:
    return list({arm.arm_id: arm for arm in reversed(list(arms))}.values())[::-1]
