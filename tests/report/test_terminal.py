"""What a person reads at 80 columns."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.cells import cell_len
from rich.console import Console

from ablate.analysis.table import Table
from ablate.report.terminal import print_table

ALL = ["table1", "table3", "epochs", "classes", "effects", "path", "ranks", "single", "empty", "hostile"]


def shown(table: Table, width: int = 80, **options: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, force_terminal=False, color_system=None)
    print_table(table, console, **options)
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_one_metric_at_80_columns(table3: Table) -> None:
    assert shown(table3) == [
        "",
        "lee2024, profile cpu, caltech101, 32 px, 10 epochs, 2 CPU threads; not",
        "comparable with the paper (32 px instead of 224, half of the data)",
        "table3: Refinements on tweak B",
        "",
        "top1 (%)",
        "                                                                    reported",
        "                                                                    (not",
        "refinements  mean ±sd     Δ                       p                 comparable)",
        "none         74.20 ±1.20  baseline                —                 79.00",
        "c            84.20 ±1.20  +10.00 [+6.70, +13.30]  p<.001, decided   90.00",
        "l            75.10 ±1.20   +0.90 [−2.40, +4.20]   p=.91             84.00",
        "m            73.30 ±1.20   −0.90 [−4.20, +2.40]   p=.91             78.00",
        "c+l          86.10 ±1.20  +11.90 [+8.60, +15.20]  p<.001, decided   93.00",
        "c+m          83.80 ±1.20   +9.60 [+6.30, +12.90]  p<.001, decided   91.00",
        "l+m          74.40 ±1.20   +0.20 [−3.10, +3.50]   p>.99             79.00",
        "c+l+m        77.60 ±1.20   +3.40 [+0.10, +6.70]   p=.0496, decided  92.00",
        "",
        "Claims",
        "holds  c+l is best: each of 7 comparisons has p < .05",
        "",
        "Mean ±sd over 3 runs.",
        "Δ: difference from none, with 95% intervals, in points where the column is in",
        "percent. Decided where it says so; all else is undecided.",
    ]


def test_two_metrics_stand_below_each_other(table1: Table) -> None:
    lines = shown(table1)
    assert lines.count("top1") == lines.count("top5") == 1
    assert "B      0.742 ±0.009          +0.071 [+0.045, +0.097]  p<.001*    0.79 agrees" in lines
    assert "C      0.655 ±0.020 (n=2) †  −0.016                   undecided  0.63 agrees" in lines
    assert "D      — †                   —                        undecided  0.63" in lines
    assert "† D: not run: no weights" in lines
    verdicts = lines[lines.index("Claims") + 1 :][:4]
    assert [line.split("  ")[0] for line in verdicts] == ["undecided", "holds", "contradicted", "not testable"]


def test_a_wide_console_shows_the_width_of_the_agreement(table1: Table) -> None:
    assert any(line.endswith("0.95 differs (0.119)") for line in shown(table1, 100))


def test_many_metrics_stand_beside_each_other_and_say_what_is_left_out(classes: Table, ranks: Table) -> None:
    lines = shown(classes)
    assert "cat    0.660 ±0.012  0.680 ±0.012  0.670 ±0.012  1000 ±0" in lines
    assert "… and reported figures: ablate report kallu2025 --table report --format md" in lines
    lines = shown(ranks, 100)
    assert lines[lines.index("") :].count("val_loss, 64") == 0
    assert any("differences and p" in line for line in lines)
    assert "val_loss, 64" in shown(ranks, 80)


@pytest.mark.parametrize("width", [40, 80, 120])
@pytest.mark.parametrize("name", ALL)
def test_no_line_is_wider_than_the_console(name: str, width: int, request: pytest.FixtureRequest) -> None:
    assert max(map(cell_len, shown(request.getfixturevalue(name), width))) <= width


def test_long_labels_fold_and_numbers_do_not(table3: Table) -> None:
    rows = tuple(replace(row, name=f"resnet50/A/{row.name}/off/on/0.1/adamw") for row in table3.rows)
    lines = shown(replace(table3, rows=rows))
    assert sum("[+6.70, +13.30]" in line for line in lines) == 1
    assert any(line.startswith("resnet50/A/") for line in lines)


def test_a_long_table_is_cut_and_says_so(epochs: Table) -> None:
    lines = shown(epochs, max_rows=4)
    assert "… and 2 more rows: ablate report xu2025 --table table1 --format md" in lines
    assert not any(line.startswith("resnet50  11") for line in lines)
    assert not any("more rows" in line for line in shown(epochs, max_rows=6))


def test_a_terminal_without_unicode_gets_words(table1: Table) -> None:
    raw = io.BytesIO()
    console = Console(file=io.TextIOWrapper(raw, encoding="ascii"), width=100, color_system=None)
    print_table(table1, console)
    console.file.flush()
    text = raw.getvalue().decode("ascii")
    assert "0.742 +/-0.009" in text
    assert "-0.016" in text


def test_decided_is_bold_and_undecided_is_not(table3: Table) -> None:
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system="standard", legacy_windows=False)
    print_table(table3, console)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "\x1b[1m+10.00 [+6.70, +13.30]" in text
    assert "\x1b[1m +0.90" not in text


@pytest.mark.parametrize(
    ("environment", "in_words"), [({}, False), ({"NO_COLOR": "1"}, True), ({"TERM": "dumb"}, True)]
)
def test_decided_is_a_word_where_bold_does_not_show(table3: Table, environment: dict[str, str], in_words: bool) -> None:
    known = {"TERM": "xterm-256color", **environment}
    console = Console(file=io.StringIO(), width=80, force_terminal=True, _environ=known)
    print_table(table3, console)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert text.count("p<.001, decided") == (3 if in_words else 0)
    assert ("Bold: decided" in text) != in_words


def test_where_the_word_has_no_room_there_is_a_star(table3: Table) -> None:
    lines = shown(table3, 72)
    assert sum("p<.001*" in line for line in lines) == 3
    assert "* decided; all else is undecided." in " ".join(lines)


def test_where_nothing_is_decided_it_says_so(table3: Table) -> None:
    rows = tuple(replace(row, cells={key: replace(cell, decided=False) for key, cell in row.cells.items()}) for row in table3.rows)  # fmt: skip
    assert "None is decided." in " ".join(shown(replace(table3, rows=rows)))


def test_names_hold_no_escapes_and_no_markup(hostile: Table) -> None:
    text = "\n".join(shown(hostile, 200))
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "[red]%{x}" in text  # printed, not obeyed
