"""LaTeX for a paper: it keeps to its width, says what its type means, and compiles for every published table."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ablate.analysis.table import Cell, Row, Table
from ablate.errors import UsageError
from ablate.project.gathering import Collected
from ablate.project.pages import OF_STUDIES, styled
from ablate.report import render as render_plain
from ablate.report.paper import render
from ablate.report.text_width import text_width
from ablate.study.values.labels import Label, Labels

PACKAGES = ("array", "booktabs", "longtable", "siunitx")
MOST_OVERFULL = 10.0


def _float(text: str) -> str:
    """What is printed: all but the comments."""
    return "\n".join(line for line in text.splitlines() if not line.startswith("%"))


def test_a_table_has_means_bold_for_better_and_the_best_underlined(table1: Table) -> None:
    text = _float(render(table1))
    assert r"A & \num{0.671 +- 0.012} & 0.66 & \num{0.874 +- 0.006} & 0.88 \\" in text
    assert r"B & \underline{\textbf{\num{0.742 +- 0.009}}} & 0.79 &" in text
    assert r"C & \num{0.655 +- 0.020}\rlap{\textsuperscript{a}} & 0.63 &" in text
    assert r"D & --- & 0.63 & --- &  \\" in text
    assert r"Mean $\pm$ sd, $n = 3$ runs, \textsuperscript{a}$n = 2$." in text
    assert r"Bold: decided better than A (adjusted $p < .05$); underlined: best mean of the column." in text
    assert "---: not measured." in text


def test_claims_and_notes_are_comments_only(table1: Table) -> None:
    text = render(replace(table1, notes=("Stale: 2 of 3 runs.",)))
    assert "% Stale: 2 of 3 runs." in text.splitlines()
    assert "% contradicted: A is best of A, C, D (C − A on top1 is +0.030, p=.01)" in text.splitlines()
    assert not re.search("Stale|contradicted|not testable|agrees", _float(text))


def test_what_was_decided_worse_is_not_bold(table1: Table) -> None:
    column = replace(table1.columns[0], better="lower")
    text = _float(render(replace(table1, columns=(column,))))
    assert r"\textbf" not in text
    assert r"\underline{\num{0.655 +- 0.020}}" in text
    neither = replace(column, better="neither")
    assert r"\underline" not in _float(render(replace(table1, columns=(neither,))))


def test_p_goes_first_then_columns_are_stacked(table1: Table) -> None:
    two = replace(table1, comparable=False)
    wide, less, least = (_float(render(two, width)) for width in (345, 200, 130))
    assert wide.count("$<$.001") == 1
    assert "$p$ is adjusted over the column." in wide
    assert (less.count(r"\begin{tabular}"), less.count("$<$.001")) == (1, 0)
    assert "$p$ is adjusted" not in less
    assert least.count(r"\begin{tabular}") == 2
    assert least.count(r"\begin{table}") == least.count(r"\caption") == least.count("best mean") == 1


def test_over_forty_rows_it_is_a_longtable(table1: Table) -> None:
    def rows(n: int) -> tuple[Row, ...]:
        return tuple(replace(table1.rows[0], name=f"r{place}", is_baseline=False) for place in range(n))

    assert r"\begin{table}" in render(replace(table1, rows=rows(40)))
    text = render(replace(table1, rows=rows(41)))
    assert r"\begin{longtable}" in text
    assert r"\begin{table}" not in text
    assert text.splitlines()[0] == r"% needs \usepackage{array,booktabs,longtable,siunitx}"
    assert render(replace(table1, rows=rows(25)), 130).count(r"\begin{longtable}") == 2, "the stacks count together"


def test_a_long_name_is_broken_where_nothing_else_helps(table1: Table) -> None:
    first = replace(table1.rows[0], name="batch+warmup+gamma+bias_of_all/the/layers", levels={})
    text = render(replace(table1, rows=(first, *table1.rows[1:])), 150)
    assert r"p{60pt}" in text
    assert r"batch+\allowbreak{}warmup" in text


def test_effects_have_intervals_and_no_best(effects: Table, path: Table) -> None:
    text = _float(render(effects))
    assert r"c & {\boldmath$+0.098\;[+0.087, +0.109]$} & $<$.001 \\" in text
    assert r"m & $-0.004\;[-0.015, +0.007]$ & .71 \\" in text
    assert "underlined" not in text
    assert "Bold: decided better than the step before" in _float(render(path))


def test_labels_are_taken_as_latex(table1: Table) -> None:
    entries = {"tweak=B": Label("ResNet-B", latex=r"ResNet$_\mathrm{B}$"), "tweak=A": Label("50% & more")}
    labels = Labels(entries, {"tweak": dict.fromkeys("ABCD", ())})
    arms = {name: {"tweak": name} for name in "ABCD"}
    text = _float(render(replace(table1, labels=labels, arms=arms, factors=("tweak",))))
    assert r"ResNet$_\mathrm{B}$ & " in text
    assert r"50\% \& more & " in text
    assert r"better than 50\% \& more" in text


def test_numbers_of_other_forms(single: Table) -> None:
    small = replace(single.rows[1], cells={"top1": Cell(mean=1.5e-9, sd=2.0e-10, n=3, planned=3)})
    even = replace(single.rows[1], cells={"top1": Cell(mean=0.7, sd=0.0, n=3, planned=3)})
    column = replace(single.columns[0], decimals=10)
    text = render(replace(single, columns=(column,), rows=(single.rows[0], small, even)))
    assert r"\num{1.5e-09}\,$\pm$\,\num{2.0e-10}" in text
    assert r"\,$\pm$\,\num{0.000000}" in text


@pytest.mark.parametrize("name", ["single", "empty", "classes", "ranks", "hostile", "epochs", "table3"])
def test_every_table_is_written(name: str, request: pytest.FixtureRequest) -> None:
    text = render(request.getfixturevalue(name))
    assert text.endswith("\n")
    assert "None" not in text
    assert "nan" not in text.lower()


def test_today_s_latex_stays_the_default(table1: Table) -> None:
    assert "siunitx" not in render_plain(table1, "latex")
    assert styled(OF_STUDIES["latex"], None) is OF_STUDIES["latex"]
    with pytest.raises(UsageError, match=r"^format csv has no styles; latex has paper\.$") as none:
        styled(OF_STUDIES["csv"], "paper")
    assert none.value.code == "no-styles"
    with pytest.raises(UsageError, match=r"must be one of paper\. Did you mean 'paper'\?$") as unknown:
        styled(OF_STUDIES["latex"], "papr")
    assert unknown.value.code == "unknown-style"


def test_widths_are_those_of_the_letters() -> None:
    assert text_width("0.5186") == pytest.approx(6 * 4.6, rel=0.1)
    assert text_width(r"\num{0.5186 +- 0.0171}") < text_width(r"\textbf{\num{0.5186 +- 0.0171}}", bold=True)
    assert text_width(r"mean\_class\_accuracy") == pytest.approx(text_width("mean class accuracy"), rel=0.05)


def _compiler() -> Callable[[Path], None]:
    """pdflatex with our packages, else tectonic; skips where neither is there."""
    if shutil.which("pdflatex") and shutil.which("kpsewhich"):
        files = [f"{package}.sty" for package in PACKAGES]
        found = subprocess.run(["kpsewhich", *files], capture_output=True, text=True, check=False).stdout.split()
        if len(found) == len(files):
            return lambda file: _run(
                ["pdflatex", "-draftmode", "-interaction=nonstopmode", "-halt-on-error", file.name], file
            )
    if shutil.which("tectonic"):
        return lambda file: _run(["tectonic", "--keep-logs", file.name], file)
    pytest.skip("LaTeX is not compiled: neither pdflatex with siunitx and booktabs nor tectonic is installed")


def _run(command: list[str], file: Path) -> None:
    done = subprocess.run(command, cwd=file.parent, capture_output=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout.decode(errors="replace")[-3000:]


@pytest.mark.slow
def test_every_published_table_compiles_and_keeps_to_its_width(published: Collected, tmp_path: Path) -> None:
    compile_ = _compiler()
    tables = [entry.table for study in published.collection.studies for entry in study.tables]
    assert len(tables) > 50
    body = "\n".join(rf"\typeout{{TABLE {table.study} {table.name}}}{render(table)}\clearpage" for table in tables)
    head = rf"\documentclass[10pt]{{article}}\usepackage{{{','.join(PACKAGES)}}}"
    file = tmp_path / "tables.tex"
    file.write_text(f"{head}\n\\begin{{document}}\n{body}\n\\end{{document}}\n", encoding="utf-8")
    compile_(file)
    log = file.with_suffix(".log").read_text(encoding="utf-8", errors="replace")
    assert log.count("TABLE ") == len(tables)
    found = re.findall(r"Overfull \\hbox \((\d+\.\d+)pt too wide\).*", log)
    assert not [width for width in found if float(width) > MOST_OVERFULL]
