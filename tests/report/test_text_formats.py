"""Markdown, LaTeX, CSV and JSON, whole, on tables made by hand."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ablate.analysis.table import Cell, Table
from ablate.errors import UsageError
from ablate.report import render
from ablate.report.latex import escape as escape_latex
from ablate.report.markdown import escape as escape_markdown
from ablate.report.spreadsheet import csv_text

GOLDEN = Path(__file__).parent / "golden"
SAMPLES = ("table1", "table3", "path", "effects", "epochs")
ENDINGS = {"md": "md", "latex": "tex", "csv": "csv", "json": "json"}


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("fmt", ENDINGS)
def test_golden(name: str, fmt: str, request: pytest.FixtureRequest) -> None:
    expected = (GOLDEN / f"{name}.{ENDINGS[fmt]}").read_text(encoding="utf-8")
    assert render(request.getfixturevalue(name), fmt) == expected


@pytest.mark.parametrize("fmt", ENDINGS)
@pytest.mark.parametrize("name", ["single", "empty", "classes", "ranks", "hostile"])
def test_every_table_renders_to_lines(name: str, fmt: str, request: pytest.FixtureRequest) -> None:
    text = render(request.getfixturevalue(name), fmt)
    assert text.endswith("\n")
    assert "None" not in text
    assert "nan" not in text.lower()


def test_an_unknown_format_is_a_usage_error(table1: Table) -> None:
    with pytest.raises(UsageError, match=r"^unknown format 'markdwn'; allowed: csv, html, json, latex, md, text\.$"):
        render(table1, "markdwn")
    with pytest.raises(UsageError, match=r"Did you mean 'latex'\?$"):
        render(table1, "latx")


def test_json_has_the_contracts_keys_and_no_others(table1: Table) -> None:
    document = json.loads(render(table1, "json"))
    heads = ["schema", "study", "profile", "set", "table", "comparable", "columns", "rows", "claims"]
    heads += ["test", "looks", "notes"]
    assert list(document) == heads
    assert document["schema"] == 1
    assert document["columns"] == ["top1", "top5"]
    assert all(list(row) == ["row", "arm", "levels", "epoch", "class", "cells", "label"] for row in document["rows"])
    keys = ["mean", "sd", "n", "ci95", "delta", "delta_ci95", "p_adjusted"]
    keys += [
        "reported",
        "reported_text",
        "agrees",
        "run_ids",
        "decided",
        "note",
        "test",
        "detectable",
        "total",
        "planned",
    ]
    assert all(list(cell) == keys for row in document["rows"] for cell in row["cells"].values())
    assert all(list(claim) == ["text", "verdict", "why"] for claim in document["claims"])


def test_json_values(table1: Table, epochs: Table, classes: Table) -> None:
    cell = json.loads(render(table1, "json"))["rows"][1]["cells"]["top1"]
    assert cell["mean"] == 0.742
    assert cell["delta_ci95"] == pytest.approx([0.045, 0.097])
    assert (cell["reported"], cell["reported_text"], cell["agrees"]) == (0.79, "0.79", True)
    assert len(cell["run_ids"]) == 3
    assert [row["epoch"] for row in json.loads(render(epochs, "json"))["rows"]] == [1, 11, 21, 1, 11, 21]
    assert [row["class"] for row in json.loads(render(classes, "json"))["rows"]] == ["cat", "dog", "ship"]


def test_json_never_holds_what_json_does_not_know(table1: Table) -> None:
    wild = Cell(mean=float("nan"), sd=float("inf"), n=3, ci95=(float("-inf"), 1.0), p_adjusted=float("nan"))
    table = replace(table1, rows=(replace(table1.rows[0], cells={"top1": wild}),))
    document = json.loads(render(table, "json"), parse_constant=pytest.fail)
    cells = document["rows"][0]["cells"]
    assert [cells["top1"][key] for key in ("mean", "sd", "ci95", "p_adjusted")] == [None] * 4
    assert cells["top5"]["n"] == 0  # a column that the row lacks is there, and empty


def test_csv_is_one_line_a_row_at_full_precision(table1: Table) -> None:
    rows = list(csv.DictReader(io.StringIO(render(table1, "csv"))))
    assert [row["levels.tweak"] for row in rows] == ["A", "B", "C", "D"]
    b, d = rows[1], rows[3]
    assert float(b["top1.delta_ci95.low"]) == pytest.approx(0.045)
    assert (b["top1.decided"], b["comparable"], b["profile"]) == ("true", "true", "")
    assert len(b["top5.run_ids"].split()) == 3
    assert (d["top1.mean"], d["top1.n"], d["top1.note"], d["top1.agrees"]) == ("", "0", "not run: no weights", "")


def test_csv_cells_are_read_as_what_they_are(hostile: Table) -> None:
    r"""No name is run as a formula, and none makes a row too many: `\r` ends a line for every reader."""
    texts = [
        "=HYPERLINK(1)",
        "+A",
        "-lr",
        "@x",
        "\tx",
        "a\rb",
        "a\nb",
        'say "hi", twice',
        "plain",
        "-1e-5",
        "+.5",
        "-1_0",
    ]
    text = csv_text([["file", "number"], *([t, -0.1] for t in texts), [None, True]])
    read = list(csv.reader(io.StringIO(text, newline="")))
    apostrophe = ["=HYPERLINK(1)", "+A", "-lr", "@x", "\tx", "-1_0"]
    assert [row[0] for row in read[1:-1]] == [f"'{t}" if t in apostrophe else t for t in texts]
    assert {row[1] for row in read[1:-1]} == {"-0.1"}
    assert read[-1] == ["", "true"]
    assert "\r\n" not in text
    universal = list(csv.reader(io.StringIO(text)))  # a reader that takes a bare \r for the end of a line
    assert len(universal) == len(read)
    rows = list(csv.DictReader(io.StringIO(render(hostile, "csv"), newline="")))
    assert len(rows) == len(hostile.rows)
    assert not any(value.startswith(("=", "@", "+", "\t")) for row in rows for value in row.values())


@given(rows=st.lists(st.lists(st.text(max_size=8), min_size=2, max_size=2), min_size=1, max_size=4))
def test_csv_comes_back_as_it_went(rows: list[list[str]]) -> None:
    read = list(csv.reader(io.StringIO(csv_text(rows), newline="")))
    for went, came in zip(rows, read, strict=True):
        assert [c if c == w else c.removeprefix("'") for w, c in zip(went, came, strict=True)] == went


def test_csv_documents_its_columns(table1: Table) -> None:
    from ablate.report import csv as module

    header = next(csv.reader(io.StringIO(render(table1, "csv"))))
    documented = module.__doc__ or ""
    for name in {name.removeprefix("top1") for name in header if name.startswith("top1")}:
        assert name in documented


def test_hostile_names_are_inert_in_markdown(hostile: Table) -> None:
    text = render(hostile, "md")
    assert not re.search(r"<[a-zA-Z/]", text)
    table = [line for line in text.splitlines() if line.startswith("| ")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in table} == {6}
    assert not re.search(r"[\x00-\x09\x0b-\x1f\u202e]", text)


@pytest.mark.parametrize(
    ("raw", "escaped"),
    [
        ("a|b", r"a\|b"),
        ("*x* `y` _z_", r"\*x\* \`y\` \_z\_"),
        ("train_top1 p<.001 B > A", "train_top1 p<.001 B > A"),
        ("[a](b) ![c](d) [e]: f", r"[a\](b) \![c\](d) [e\]: f"),
        ("&lt; <b> a & b", "&amp;lt; &lt;b> a & b"),
        ("line\nbreak", "line break"),
    ],
)
def test_markdown_escapes_what_markdown_reads(raw: str, escaped: str) -> None:
    assert escape_markdown(raw) == escaped


@pytest.mark.parametrize(("raw", "escaped"), [("# a", r"\# a"), ("- a", r"\- a"), ("1. a", r"1\. a"), ("> a", r"\> a")])
def test_a_note_cannot_begin_a_block(raw: str, escaped: str) -> None:
    assert escape_markdown(raw, starts_block=True) == escaped


def test_latex_escapes_what_tex_reads(hostile: Table) -> None:
    assert escape_latex(r"50% & $x_1^2$ #{a} \input ~") == (
        r"50\% \& \$x\_1\textasciicircum{}2\$ \#\{a\} \textbackslash{}input \textasciitilde{}"
    )
    assert escape_latex("±1 −2 Δ — a×b") == r"$\pm$1 $-$2 $\Delta$ --- a$\times$b"
    text = render(hostile, "latex")
    assert not re.search(r"(?<!\\)%(?! needs)", text)  # an open % would swallow the rest of its line


def test_latex_tables_are_closed_and_even(table1: Table) -> None:
    text = render(table1, "latex")
    assert re.findall(r"\\(?:begin|end)\{(\w+)\}", text) == [
        "table",
        "tabular",
        "tabular",
        "minipage",
        "minipage",
        "table",
    ]
    body = text.split(r"\midrule")[1].split(r"\bottomrule")[0].strip().splitlines()
    assert {line.count(" & ") for line in body} == {8}


def test_undecided_is_never_bold(table3: Table) -> None:
    bold = re.findall(r"^\| (\S+) .*\*\*", render(table3, "md"), re.MULTILINE)
    assert bold == ["c", "c+l", "c+m", "c+l+m"]
    assert render(table3, "latex").count(r"\textbf") == 4


@pytest.mark.slow
def test_text_formats_leave_plotly_alone() -> None:
    code = (
        "import sys\n"
        "from ablate.analysis.table import Table\n"
        "from ablate.report import FORMATS, render\n"
        "import ablate.report.terminal\n"
        "for fmt in FORMATS.all():\n    if fmt != 'html': render(Table('s', None, 't', 'arms', '', (), ()), fmt)\n"
        "heavy = {'plotly', 'pandas', 'numpy', 'jinja2', 'torch', 'sqlalchemy'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0
