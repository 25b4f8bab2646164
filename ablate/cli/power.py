"""`grid plan --power`: how small a difference a study of this size can detect."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from rich.console import Console

from ablate.analysis.compare import LEAST_N
from ablate.analysis.families import families_of
from ablate.analysis.layout import tables_of
from ablate.analysis.least_squares import planned
from ablate.analysis.power import detectable, detectable_effect, replicates_needed
from ablate.study.values.study import Study, TableSpec

SHOWN_N = (3, 5, 10)
ONE_SD = 1.0


@dataclass(frozen=True)
class Question:
    """One kind of comparison that a study makes: its text, and the smallest difference that n seeds detect."""

    text: str
    smallest: Callable[[int], float | None]
    needed: Callable[[], int | None] | None = None


def print_power(study: Study, console: Console) -> None:
    """Print the smallest differences that are detected with 80% power, by number of seeds, in sd of one run."""
    asked: dict[str, tuple[Question, list[str]]] = {}
    for spec in tables_of(study):
        for question in _questions(study, spec):
            asked.setdefault(question.text, (question, []))[1].append(spec.name)
    if not asked:
        console.print("\nNo table compares anything.")
        return
    ns = sorted({len(study.seeds), *SHOWN_N})
    heads = [f"n = {n}{'*' if n == len(study.seeds) else ''}" for n in ns]
    lines = [(question, f"{', '.join(tables)}: {question.text}") for question, tables in asked.values()]
    width = max(len(text) for _, text in lines)
    console.print(
        "\nSmallest difference that n seeds detect (80% power), in sd of one run; * this study:", soft_wrap=True
    )
    console.print(" " * width + "".join(f"{head:>10}" for head in heads), highlight=False, soft_wrap=True)
    for question, text in lines:
        figures = "".join(f"{_shown(question.smallest(n)):>10}" for n in ns)
        console.print(f"{text:<{width}}{figures}", highlight=False, markup=False, soft_wrap=True)
    first = next((question for question, _ in lines if question.needed), None)
    needed = first.needed() if first and first.needed else None
    if first and needed is not None:
        console.print(f"Detecting a difference of one sd {first.text} takes {needed} seeds.", soft_wrap=True)
    if len(study.seeds) < LEAST_N:
        console.print(f"With fewer than {LEAST_N} seeds nothing is decided.")


def _questions(study: Study, spec: TableSpec) -> Iterator[Question]:
    """A table's kinds of comparison, each for its largest family, where the test is strictest."""
    if spec.kind == "effect":
        yield from _effects(study, spec)
        return
    most = max(family.comparisons for family in families_of(study, spec))
    if most == 0:
        return
    path = study.design == "path"
    test = "pooled-holm" if path and spec.test == "dunnett" else spec.test
    where = "from the step before" if path else "from the baseline"
    yield Question(
        f"{where} ({most} comparison{'s' * (most > 1)}, {test})",
        lambda n: detectable(n, most, test),
        lambda: replicates_needed(ONE_SD, most, test),
    )


def _effects(study: Study, spec: TableSpec) -> Iterator[Question]:
    """The effect of a table that is hardest to detect, among main effects and among interactions."""
    fits = list(planned(study, spec))
    kinds = {"main effect": [fit.mains for fit in fits], "interaction": [fit.interactions for fit in fits]}
    for what, effects in kinds.items():
        found = [
            (weights, len(fit.mains) + len(fit.interactions), fit.rank)
            for fit, several in zip(fits, effects, strict=True)
            for weights in several
        ]
        if found:
            weights, count, rank = max(found, key=lambda one: sum(w * w for w in one[0]))
            smallest = partial(detectable_effect, weights, comparisons=count, test=spec.test, rank=rank)
            yield Question(f"{what} ({count} effect{'s' * (count > 1)}, {spec.test})", smallest)


def _shown(smallest: float | None) -> str:
    return "nothing" if smallest is None else f"{smallest:.1f}"
