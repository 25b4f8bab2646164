"""The sentences under a table: the test, what is missing, and what a reader must know before trusting a number."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ablate.analysis import cautions
from ablate.analysis.layout import column_keys, distinct
from ablate.analysis.mixed import DIGITS, differing, seeds_text
from ablate.analysis.table import Row
from ablate.analysis.values import Replicates, Sample, counted_by
from ablate.study.code.verified import said
from ablate.study.records import RunResult
from ablate.study.values.metrics import MetricName, is_cost
from ablate.study.values.recipe import setting
from ablate.study.values.study import Arm, Study, TableSpec

IF_MISSING = "Missing runs leave an arm's comparisons undecided."
STALE = "Stale: "
VERIFIED = "Verified: "
OF_THE_PRESENT = (STALE, VERIFIED)
"""How notes begin that hold beside the present code only."""
MOST_NAMED = 4
"""So many arms with missing runs are named one by one; more are counted."""


def notes_of(
    study: Study,
    spec: TableSpec,
    runs: Replicates,
    arms: Sequence[Arm],
    rows: Sequence[Row],
    families: Sequence[Sequence[Sample]] = (),
) -> tuple[str, ...]:
    """All notes of a table over arms, epochs or classes, most telling first.

    arms       those of the table, and the baselines
    families   the samples that were judged together
    """
    return (
        *cautions.about_test(study, spec, rows),
        *cautions.about_rows(study, spec, rows, families),
        *_replicates(study, rows),
        *(_counted(spec, runs, arms) if spec.kind == "epoch" else ()),
        *about_runs(study, runs, arms, IF_MISSING),
    )


def about_runs(study: Study, runs: Replicates, arms: Sequence[Arm], if_missing: str) -> tuple[str, ...]:
    """The notes that hold for whatever is worked out from these arms; `if_missing` says what missing runs do to it."""
    results = [result for arm in distinct(arms) for result in runs.done(arm)]
    return (
        *_missing(runs, arms, if_missing),
        *_merged(arms),
        *_of_data(results),
        *_bit_equal(runs, arms),
        *_equal_arms(runs, arms),
        *(_selection(study, arms, results) if study.trainer is None else _selection_of_script(arms, results)),
        *(_splits(arms, len(study.seeds)) if study.trainer is None else ()),
        *_mixed(runs, arms),
        *_stale(results),
    )


def on_looks(looks: int, known: bool) -> Iterable[str]:
    """That the study grew while its results could be seen; `known` is False where an earlier part of its history is not."""
    before = "" if known else "; what was asked for before the database was upgraded is not known"
    if looks:
        yield (
            f"Seeds were added {looks} time{'s' * (looks != 1)} after results were there{before}. p-values and intervals do "
            "not account for that: they hold where the number of seeds was fixed before."
        )
    elif before:
        yield f"No seeds were added after results were there{before}."


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
    results = [result for arm in distinct(arms) for result in runs.done(arm)]
    for metric in dict.fromkeys(metric for _, metric in column_keys(spec)):
        counted = [result for result in results if counted_by(result, metric) == "match"]
        if any(counted_by(result, metric) == "row" for result in results):
            yield f"The file of {metric} names no epochs: its rows were counted."
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


def _of_data(results: Sequence[RunResult]) -> Iterable[str]:
    """What the runs noted of their data: files left out, official parts that were pooled. Each note once, with the number
    of runs that it holds for where that is not all of them."""
    counts = Counter(
        str(note) for result in results for note in dict.fromkeys(setting(result.details, "data.notes") or ())
    )
    for note, count in counts.items():
        yield f"Data: {note}" if count == len(results) else f"Data of {count} of {len(results)} runs: {note}"


def _bit_equal(runs: Replicates, arms: Sequence[Arm]) -> Iterable[str]:
    """Only where all replicates agree: two of several may well do so on a coarse metric."""
    for arm in distinct(arms):
        found = _measured(runs, arm)
        seeds, results = list(found), list(found.values())
        if len(found) > 1 and all(_bits(results[0], other) for other in results[1:]):
            listed = f"{', '.join(map(str, seeds[:-1]))} and {seeds[-1]}"
            yield f"{arm.name}: seeds {listed} came out bit-equal: the seed did not reach the training."


def _equal_arms(runs: Replicates, arms: Sequence[Arm]) -> Iterable[str]:
    """Arms with other recipes and the same numbers: most likely a setting that a script does not read."""
    found = {arm.name: _measured(runs, arm) for arm in distinct(arms)}
    several = {name: own for name, own in found.items() if len(own) > 1}  # one run may well agree by chance
    alike = _by_numbers(several, lambda result: _without_costs(result.metrics))
    candidates = {name for names in alike if len(names) > 1 for name in names}
    for names in _by_numbers({name: own for name, own in several.items() if name in candidates}, _numbers):
        if len(names) > 1:
            shown = f"{', '.join(names[:MOST_NAMED])}{' and others' if len(names) > MOST_NAMED else ''}"
            yield f"{shown} came out bit-equal: perhaps what tells them apart did not reach the training."


def _by_numbers(arms: Mapping[str, Mapping[int, RunResult]], read: Callable[[RunResult], Any]) -> list[list[str]]:
    """The names of arms whose runs agree, seed by seed, in what `read` takes of them."""
    names: dict[Any, list[str]] = {}
    for name, found in arms.items():
        names.setdefault(tuple(sorted((seed, read(result)) for seed, result in found.items())), []).append(name)
    return list(names.values())


def _measured(runs: Replicates, arm: Arm) -> dict[int, RunResult]:
    """The arm's finished runs with numbers, by seed."""
    return {seed: result for seed, result in runs.finished(arm) if result.metrics}


def _bits(one: RunResult, other: RunResult) -> bool:
    """Whether two runs agree in all numbers; the epochs, which are many, are looked at last."""
    finals = _without_costs(one.metrics) == _without_costs(other.metrics)
    return bool(finals and _numbers(one) == _numbers(other))


def _numbers(result: RunResult) -> Any:
    """All that a run measured, costs aside."""
    epochs = sorted(result.epochs)
    return _without_costs(result.metrics), tuple((epoch, _without_costs(result.epochs[epoch])) for epoch in epochs)


def _without_costs(metrics: Mapping[str, float]) -> Any:
    return tuple(sorted((name, value) for name, value in metrics.items() if not is_cost(name)))


def _selection(study: Study, arms: Sequence[Arm], results: Sequence[RunResult]) -> Iterable[str]:
    reported = {result.reported_split for result in results if result.reported_split}
    selectors: dict[str, str] = {}
    for arm in arms:
        select = str(arm.recipe.get("select", "last"))
        stopping = arm.recipe.get("early_stopping.metric")
        if select != "last":
            selectors.setdefault(select, "the best epoch")
        if stopping is not None and arm.recipe.get("early_stopping.patience") is not None:
            selectors.setdefault(str(stopping), "when to stop")
    for metric, what in selectors.items():
        split = MetricName.parse(metric).split
        if split in {*reported, "test"}:
            yield f"The {split} set also chose {what} (by {metric}), so the scores reported on it are optimistic."
    if study.tune and "val" in reported:
        yield "Tuning selects on the validation set, so the scores reported on it are optimistic."


def _selection_of_script(arms: Sequence[Arm], results: Sequence[RunResult]) -> Iterable[str]:
    """The same of a script with `trainer.select`, and what its output does to it."""
    selecting = [select for arm in arms if (select := (arm.trainer or {}).get("select"))]
    metric = str(selecting[0]["metric"]) if selecting else ""
    reported = {result.reported_split for result in results if result.reported_split}
    split = MetricName.parse(metric).split
    if metric and (split is None or split in {*reported, "test"}):
        named = split or " and ".join(sorted(reported)) or "reported"
        yield f"The {named} set also chose the best epoch (by {metric}), so the scores reported on it are optimistic."
    counted = [result for result in results if metric and counted_by(result, metric) == "match"]
    if again := sum(len(result.attempts) > 1 for result in counted):
        yield (
            f"The output names no epochs for {metric}, which selects: of the {again} runs that took several attempts, only "
            "the lines of the last one were compared."
        )


def _splits(arms: Sequence[Arm], n: int) -> Iterable[str]:
    for arm in arms:
        split = arm.recipe.get("data.split")
        if not isinstance(split, Mapping) or split.get("test") == "official":
            continue
        if n > 1:
            yield (
                "The seed draws the split, so replicates share images. Intervals that are not paired by seed, like these, "
                "keep about their 95% or more under such re-splits; plain paired ones do not (docs/statistics.md)."
            )
        return


def _mixed(runs: Replicates, arms: Sequence[Arm]) -> Iterable[str]:
    """What of the runs is not of one kind: nothing is decided of such arms. Other arithmetic between whole runs is told only."""
    doubted = [(arm.name, doubt) for arm in distinct(arms) if (doubt := runs.doubt(arm))]
    if doubted:
        said = "; ".join(f"{name}: {doubt.removeprefix('mixed: ')}" for name, doubt in doubted[:MOST_NAMED])
        more = f"; and {len(doubted) - MOST_NAMED} arms more" if len(doubted) > MOST_NAMED else ""
        yield f"Mixed: {said}{more}. Nothing is decided across them."
    read: dict[str, dict[str, list[str]]] = {}
    for arm in distinct(arms):
        if not runs.doubt(arm) and (data := runs.data(arm)) is not None:
            read.setdefault(data[0], {}).setdefault(data[1], []).append(arm.name)
    for digests in read.values():
        if len(digests) > 1:
            said = ", ".join(f"{digest[:DIGITS]} ({some(names)})" for digest, names in digests.items())
            yield f"Mixed: arms read other data under one name: {said}. Nothing is decided between them."
    yield from _fingerprints(runs, arms)


def _fingerprints(runs: Replicates, arms: Sequence[Arm]) -> Iterable[str]:
    """Whole runs under other arithmetic: told, with the runs of all but the commonest."""
    places: dict[str, dict[str, list[int]]] = {}
    for arm in distinct(arms):
        for seed, result in runs.finished(arm):
            if result.shown is not None and (fingerprint := result.shown.fingerprint):
                places.setdefault(fingerprint, {}).setdefault(arm.name, []).append(seed)
    if len(places) > 1:
        ranked = sorted(places, key=lambda name: sum(map(len, places[name].values())), reverse=True)
        counts = [sum(map(len, places[name].values())) for name in ranked]
        common, *others = differing(ranked)
        said = "; ".join(
            f"{what}: {some([f'{arm} {seeds_text(seeds)}' for arm, seeds in places[name].items()])}"
            for what, name in zip(others, ranked[1:], strict=True)
        )
        yield (
            f"Mixed: {len(places)} numerics fingerprints ({' + '.join(map(str, counts))} runs), so bits differ by more "
            f"than the seed. Most: {common}; {said}."
        )


def _stale(results: Sequence[RunResult]) -> Iterable[str]:
    """Which results are of other code than the present, what differs, and for which it is unknown."""
    stale = [result for result in results if result.stale]
    if stale:
        causes = dict.fromkeys(result.why_stale for result in stale if result.why_stale)
        shown = "; ".join(list(causes)[:MOST_NAMED]) + ("; and others" if len(causes) > MOST_NAMED else "")
        yield (
            f"{STALE}{len(stale)} of {len(results)} runs were trained by other code of the trainer than the present"
            f"{f' ({shown})' if shown else ''}; `ablate grid run` with --retry stale trains them again."
        )
    if verified := said((result.verified for result in results), len(results)):
        yield f"{VERIFIED}{verified}."
    unknown = sum(not result.code_known for result in results)
    if unknown:
        yield (
            f"{STALE}not known of {unknown} of {len(results)} runs: the script that trained them is not where the study "
            "lies, so whether it has changed cannot be told here."
        )


def some(names: Sequence[str], most: int = MOST_NAMED, between: str = ", ") -> str:
    """The first few of these, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return between.join(names[:most]) + more
