"""Tables made by hand. Reported figures are the papers'; measured ones are invented, to be drawn and nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256

import pytest

from ablate.analysis.table import Cell, ClaimResult, Column, ConfusionTable, Curve, Row, Table
from ablate.study.records import AttemptResult, RunResult
from ablate.study.values.run import Run

TOP1 = Column("top1", "top1", "higher", "fraction")
TOP5 = Column("top5", "top5", "higher", "fraction")
SCALE = "caltech101, 224 px, 10 epochs, 6,907 training images, one GPU"


def ids(arm: str, n: int = 3) -> tuple[str, ...]:
    """Ids that look like ours: 64 hex digits, one a seed."""
    return tuple(sha256(f"{arm}:{seed}".encode()).hexdigest() for seed in range(n))


def measured(arm: str, mean: float, sd: float = 0.012, n: int = 3, **rest: object) -> Cell:
    """A cell of n runs whose interval is 4.303 / sqrt(3) = 2.484 standard deviations each way (n = 3)."""
    half = 2.484 * sd
    return Cell(mean=mean, sd=sd, n=n, ci95=(mean - half, mean + half), run_ids=ids(arm, n), **rest)  # type: ignore[arg-type]


def against(cell: Cell, delta: float, half: float, p: float) -> Cell:
    return replace(
        cell, delta=delta, delta_ci95=(delta - half, delta + half), p_adjusted=p, decided=p < 0.05, detectable=0.04
    )


def paper(cell: Cell, text: str, agrees: bool | None, width: float | None = 0.119) -> Cell:
    return replace(cell, reported=float(text), reported_text=text, agrees=agrees, agreement_width=width)


def row(name: str, factor: str, cells: Mapping[str, Cell], *, is_baseline: bool = False) -> Row:
    return Row(name, name, {factor: name}, cells, is_baseline=is_baseline)


@pytest.fixture
def table1() -> Table:
    """Lee's table 1: four tweaks, two metrics, one arm short of a run and one that was not run."""
    a, b, c = measured("A", 0.671), measured("B", 0.742, 0.009), measured("C", 0.655, 0.02, 2)
    rows = (
        row("A", "tweak", {
            "top1": paper(a, "0.66", True),
            "top5": paper(measured("A", 0.874, 0.006), "0.88", True),
        }, is_baseline=True),
        row("B", "tweak", {
            "top1": paper(against(b, 0.071, 0.026, 0.0004), "0.79", True),
            "top5": paper(against(measured("B", 0.921, 0.005), 0.047, 0.0131, 0.0312), "0.95", False),
        }),
        row("C", "tweak", {
            "top1": paper(replace(c, delta=-0.016, note="2 of 3 runs"), "0.63", True),
            "top5": paper(replace(measured("C", 0.861, 0.011, 2), delta=-0.013, note="2 of 3 runs"), "0.83", None),
        }),
        row("D", "tweak", {
            "top1": Cell(reported=0.63, reported_text="0.63", note="not run: no weights"),
            "top5": Cell(note="not run: no weights"),
        }),
    )  # fmt: skip
    return Table(
        study="lee2024",
        profile=None,
        name="table1",
        kind="arms",
        caption="Model tweaks (batch size 64, 10 epochs)",
        columns=(TOP1, TOP5),
        rows=rows,
        claims=(
            ClaimResult("B is best", "undecided", "D was not run"),
            ClaimResult("B > A", "holds", "B − A on top1 is +0.071, p<.001"),
            ClaimResult("A is best of A, C, D", "contradicted", "C − A on top1 is +0.030, p=.01"),
            ClaimResult("B needs no more memory", "not testable", "prose"),
        ),
        mean_absolute_difference={"top1": 0.0283, "top5": 0.022},
        baseline="A",
        notes=(
            "Differences from the baseline: Dunnett's test with a variance pooled over the family's arms; simultaneous "
            "95% intervals; one family a column; not paired by seed. Decided: adjusted p < 0.05.",
            "The seed draws the split, so replicates share images.",
        ),
        scale=SCALE,
    )


@pytest.fixture
def table3() -> Table:
    """Lee's table 3 under a profile: eight subsets of refinements, nothing comparable with the paper, in percent."""
    figures = {
        "none": ("79.00", 0.742, None, None),
        "c": ("90.00", 0.842, 0.100, 0.0002),
        "l": ("84.00", 0.751, 0.009, 0.912),
        "m": ("78.00", 0.733, -0.009, 0.905),
        "c+l": ("93.00", 0.861, 0.119, 0.0001),
        "c+m": ("91.00", 0.838, 0.096, 0.0004),
        "l+m": ("79.00", 0.744, 0.002, 0.999),
        "c+l+m": ("92.00", 0.776, 0.034, 0.0496),
    }
    rows = []
    for name, (text, mean, delta, p) in figures.items():
        cell = replace(measured(f"B{name}", mean), reported=float(text) / 100, reported_text=text)
        if delta is not None and p is not None:
            cell = against(cell, delta, 0.033, p)
        rows.append(row(name, "refinements", {"top1": cell}, is_baseline=delta is None))
    return Table(
        study="lee2024",
        profile="cpu",
        name="table3",
        kind="arms",
        caption="Refinements on tweak B",
        columns=(Column("top1", "top1", "higher", "fraction", percent=True, decimals=2),),
        rows=tuple(rows),
        claims=(ClaimResult("c+l is best", "holds", "each of 7 comparisons has p < .05"),),
        comparable=False,
        not_comparable="32 px instead of 224, half of the data",
        baseline="none",
        scale="profile cpu, caltech101, 32 px, 10 epochs, 2 CPU threads",
    )


@pytest.fixture
def epochs() -> Table:
    """Two arms by epoch with training and reported accuracy, and their curves."""
    columns = (Column("train_loss", "train_loss", "lower", "nats"), Column("top1", "top1", "higher", "fraction"))
    points = {
        "resnet18": ((1, 1.846, 0.331, "0.3311"), (11, 0.721, 0.75, "0.7497"), (21, 0.534, 0.812, "0.8123")),
        "resnet50": ((1, 5.374, 0.099, "0.0989"), (11, 1.822, 0.283, "0.2828"), (21, 1.351, 0.511, "0.5106")),
    }
    rows = tuple(
        Row(
            f"{arm}/{epoch}",
            arm,
            {"arch": arm},
            {"train_loss": measured(arm, loss, 0.02), "top1": paper(measured(arm, top1), text, True)},
            epoch=epoch,
        )
        for arm, values in points.items()
        for epoch, loss, top1, text in values
    )
    curves = []
    for arm, values in points.items():
        curves.append(_curve(arm, "train_loss", [v[0] for v in values], [v[1] for v in values]))
        curves.append(
            _curve(arm, "top1", [v[0] for v in values], [v[2] for v in values], [float(v[3]) for v in values])
        )
        curves.append(_curve(arm, "train_top1", [v[0] for v in values], [v[2] + 0.05 for v in values]))
    return Table("xu2025", None, "table1", "epoch", "Loss and accuracy by epoch", columns, rows, curves=tuple(curves))


def _curve(arm: str, metric: str, at: Sequence[int], mean: Sequence[float], reported: Sequence[float] = ()) -> Curve:
    low, high = tuple(m - 0.03 for m in mean), tuple(m + 0.03 for m in mean)
    return Curve(arm, metric, tuple(at), tuple(mean), low, high, 3, tuple(reported))


@pytest.fixture
def classes() -> Table:
    """A classification report of three classes with its confusion matrix."""
    shares = [Column(k, k, "higher", "fraction") for k in ("precision", "recall", "f1")]
    columns = (*shares, Column("support", "support", "neither", "", decimals=0))
    rows = []
    for name, (precision, recall, f1) in {
        "cat": (0.65, 0.69, 0.67),
        "dog": (0.72, 0.71, 0.72),
        "ship": (0.88, 0.91, 0.89),
    }.items():
        cells = {
            "precision": paper(measured("r18", precision + 0.01), f"{precision:.2f}", True),
            "recall": paper(measured("r18", recall - 0.01), f"{recall:.2f}", True),
            "f1": paper(measured("r18", f1), f"{f1:.2f}", True),
            "support": Cell(mean=1000, sd=0.0, n=3, run_ids=ids("r18")),
        }
        rows.append(Row(name, "resnet18", {}, cells, class_=name))
    confusion = ConfusionTable(
        "resnet18", "test", ("cat", "dog", "ship"), ((690, 280, 30), (250, 710, 40), (70, 20, 910)), 3
    )
    return Table(
        "kallu2025", None, "report", "class", "Classification report", columns, tuple(rows), confusions=(confusion,)
    )


@pytest.fixture
def effects() -> Table:
    """Main effects and interactions of a factorial grid."""
    values = {
        "c": (0.098, 0.011, 0.0001),
        "l": (0.012, 0.011, 0.031),
        "m": (-0.004, 0.011, 0.71),
        "c × l": (0.009, 0.011, 0.2),
    }
    rows = tuple(Row(name, None, {}, {"top1": against(Cell(n=24), *value)}) for name, value in values.items())
    return Table(
        "lee2024", None, "effects", "effect", "Main effects and two-way interactions", (TOP1,), rows, scale=SCALE
    )


@pytest.fixture
def path() -> Table:
    """A walk from the baseline: each delta is from the step before, the total from the baseline."""
    values = (("plain", 0.7, None, None), ("+cosine", 0.73, 0.03, 0.03), ("+smoothing", 0.735, 0.005, 0.035))
    rows = []
    for name, mean, delta, total in values:
        cell = measured(name, mean)
        if delta is not None:
            cell = replace(against(cell, delta, 0.02, 0.02 if delta > 0.01 else 0.8), total=total)
        rows.append(row(name, "step", {"top1": cell}, is_baseline=delta is None))
    return Table(
        "he2019", None, "steps", "arms", "Step by step", (TOP1,), tuple(rows), baseline="plain", test="welch-holm"
    )


@pytest.fixture
def ranks() -> Table:
    """A factor as columns: five ranks, each showing val_loss."""
    columns = tuple(Column(rank, "val_loss", "lower", "nats", decimals=4) for rank in ("1", "2", "4", "8", "64"))
    rows = []
    for index, name in enumerate(("q", "q,v", "q,k,v,o")):
        cells = {}
        for place, column in enumerate(columns):
            cell = measured(name, 3.6 - 0.01 * place - 0.02 * index, 0.004)
            cells[column.key] = against(cell, -0.02 * index, 0.012, 0.001) if index else cell
        rows.append(Row(name, None, {"targets": name}, cells, is_baseline=index == 0))
    return Table("lora", None, "table6", "arms", "Rank and targets", columns, tuple(rows), baseline="q")


@pytest.fixture
def single() -> Table:
    """One run a cell: no spread, no interval, no p."""
    rows = (
        row("A", "tweak", {"top1": Cell(mean=0.66, n=1, run_ids=ids("A", 1))}, is_baseline=True),
        row("B", "tweak", {"top1": Cell(mean=0.71, n=1, delta=0.05, run_ids=ids("B", 1), note="n=1: no test")}),
    )
    return Table("tiny", "cpu", "t", "arms", "", (TOP1,), rows, comparable=False, baseline="A")


@pytest.fixture
def empty() -> Table:
    """Nothing was run yet."""
    rows = tuple(row(name, "tweak", {"top1": Cell(note="0 of 3 runs")}) for name in "AB")
    return Table("tiny", None, "t", "arms", "Nothing yet", (TOP1,), rows, baseline="A")


EVIL = "</script><img src=x onerror=\"document.title='owned'\">"


@pytest.fixture
def hostile(table1: Table) -> Table:
    """Markup, a terminal escape, a bar and a direction override in every name that a person can choose."""
    evil = EVIL + "\x1b[31m|\u202e[red]%{x}"
    cell = against(paper(measured(evil, 0.5), "0.79", False), 0.1, 0.02, 0.001)
    epochs_, at = (1, 2), (0.1, 0.2)
    return replace(
        table1,
        study=evil,
        profile=evil,
        name=evil,
        caption=evil,
        columns=(Column(evil, "top1", "higher", "fraction"),),
        rows=(
            Row("base", "base", {evil: "base"}, {evil: measured("base", 0.4)}, is_baseline=True),
            Row(evil, evil, {evil: evil}, {evil: replace(cell, note=evil, run_ids=(evil,))}),
            Row("gone", "gone", {evil: "gone"}, {evil: Cell(note=evil)}),
        ),
        claims=(ClaimResult(evil, "holds", evil),),
        notes=(evil,),
        scale=evil,
        baseline=evil,
        curves=(Curve(evil, "top1", epochs_, at, at, at, 3, at),),
        confusions=(ConfusionTable(evil, evil, (evil, "b"), ((1, 2), (3, 4)), 1),),
    )


@pytest.fixture
def runs() -> tuple[RunResult, ...]:
    """A done run, a failed one, and one that waits."""
    done = AttemptResult(1, "done", "host-1", 1_700_000_000.0, 1_700_000_725.0, None, {}, "f")
    failed = AttemptResult(2, "failed", "host-1", 1_700_000_000.0, 1_700_000_060.0, None, {}, "f")
    (first, second, third) = ids("A")
    return (
        RunResult(Run(first, "a" * 64, 0, {}), "done", (done,), {"top1": 0.67}, seconds=725.0, device="cuda:0"),
        RunResult(Run(second, "a" * 64, 1, {}), "failed", (done, failed), error="diverged at epoch 3 <b>loss</b>"),
        RunResult(Run(third, "a" * 64, 2, {}), "queued"),
    )
