"""`ablate report --style`, `--methods` and `--since`: what they print, and what they refuse."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest


def test_a_paper_s_table(call, three: Path, fill) -> None:
    fill(three)
    text = call("report", "tiny", "--table", "top1_top5", "--format", "latex", "--style", "paper").out
    assert text.startswith("% needs \\usepackage{array,booktabs,siunitx}")
    assert "% contradicted: " in text
    assert "siunitx" not in call("report", "tiny", "--table", "top1_top5", "--format", "latex").out
    call("report", "tiny", "--format", "latex", "--style", "paper", "--width", "200", "--out", "tables")
    assert r"\begin{table}" in Path("tables/tiny.tex").read_text()


def test_a_style_that_there_is_not(call, three: Path, fill) -> None:
    fill(three)
    said = call("report", "tiny", "--style", "paper", code=2)
    assert said.error == "no-styles"
    assert "format html has no styles; latex has paper. Write --format latex --style paper." in said.err
    assert call("report", "tiny", "--format", "latex", "--width", "200", code=2).error == "no-styles"
    said = call("report", "tiny", "--format", "latex", "--style", "papre", code=2)
    assert said.error == "unknown-style"
    assert "Did you mean 'paper'?" in said.err


def test_methods(call, three: Path, fill) -> None:
    fill(three)
    text = call("report", "tiny", "--methods").out
    assert text.startswith("Each of 2 arms was trained with 3 seeds (0, 1 and 2), 6 runs in all.")
    assert "Differences from the baseline, plain, were tested by t-tests with moderated variances (Smyth 2004)" in text
    assert "PyTorch" not in text, "no run recorded it"
    assert "@article{smyth2004," in text
    document = call("report", "tiny", "--methods", "--json").document
    assert document["text"] == text.partition("\n\n```bibtex")[0]
    assert (document["seeds"], document["runs"]) == ([0, 1, 2], {"done": 6, "planned": 6})


def test_methods_of_a_study_that_lacks_runs(call, three: Path, fill) -> None:
    fill(three, lambda arm, seed: {"top1": 0.5 + seed / 10, "top5": 0.9} if arm == "plain" else None)
    text = call("report", "tiny", "--methods").out
    assert "was planned with 3 seeds (0, 1 and 2); 3 of 6 runs are done." in text
    assert "No difference was tested." in text


@pytest.mark.slow
def test_since(call, tiny: Path, three: Path, fill) -> None:
    fill(three, lambda arm, seed: {"top1": 0.8 + seed / 100, "top5": 0.9} if arm == "plain" else None)
    call("report", "tiny", "--format", "json", "--out", "sent.json")
    assert call("report", "tiny", "--since", "sent.json").out == (
        "Nothing has changed since sent.json: verdicts, means and runs are the same.\n"
    )
    fill(three)
    lines = call("report", "tiny", "--since", "sent.json").out.splitlines()
    assert 'is "contradicted"; it was "undecided".' in lines[0]
    assert lines[-1] == "3 runs added."
    document = call("report", "tiny", "--since", "sent.json", "--json").document
    assert document["schema"] == 1
    assert document["text"] == lines
    assert {change["kind"] for change in document["changes"]} == {"claim", "verdict", "mean", "run"}
    call("report", "tiny", "--table", "curve", "--format", "json", "--out", "curve.json")
    assert call("report", "tiny", "--since", "curve.json").out.startswith("Nothing has changed")
    assert call("report", "tiny", "--since", "curve.json", "--table", "top1_top5", code=5).error == "unknown-table"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "line 1: not JSON (Expecting value)"),
        ("[1]", "JSON, but no report: it has neither `tables` nor `table`"),
        ('{"schema": 2, "tables": []}', "schema 2, where this ablate reads 1"),
        ('{"schema": 1, "tables": {}}', "tables is no list"),
        ('{"schema": 1, "tables": [{"study": "tiny"}]}', "tables[0].table is missing"),
        ('{"schema": 1, "table": 3, "study": "tiny"}', "table is no text"),
        ("[" * 200_000, "nested too deeply"),
    ],
)
def test_a_bad_file(call, three: Path, fill, text: str, why: str) -> None:
    fill(three)
    Path("bad.json").write_text(text)
    said = call("report", "tiny", "--since", "bad.json", code=2)
    assert said.error == "bad-report"
    assert f"bad.json: {why}. Give a JSON report of this study. Write one with ablate report" in said.err


@pytest.mark.slow
def test_a_file_of_another_study_and_one_that_is_not_there(call, three: Path, fill) -> None:
    fill(three)
    document = call("report", "tiny", "--table", "curve", "--format", "json").document
    Path("other.json").write_text(json.dumps({**document, "study": "large"}))
    said = call("report", "tiny", "--since", "other.json", code=2)
    assert said.error == "other-study"
    assert "other.json is of large (full), not of tiny (full)" in said.err
    assert call("report", "tiny", "--since", "absent.json", code=5).error == "absent-report"
    Path("binary.json").write_bytes(b"\xff\xfe")
    assert call("report", "tiny", "--since", "binary.json", code=2).error == "bad-report"
    said = call("report", "tiny", "--methods", "--format", "md", code=2)
    assert "--methods prints text, or JSON with --json, so it cannot be combined with --format md." in said.err
    said = call("report", "tiny", "--json", "--format", "md", code=2)
    assert "--json is --format json, so it cannot be combined with --format md." in said.err
    assert call("report", "tiny", "--json").document["tables"]


def test_figures_without_kaleido_are_skipped_with_a_word(
    call, three: Path, fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(three)
    monkeypatch.setitem(sys.modules, "kaleido", None)
    said = call("report", "tiny", "--figures", "pdf", "--out", "figures")
    assert "figures are skipped: kaleido is not installed: pip install 'ablate-studies[export]'." in said.err
    assert not Path("figures").exists()
    assert call("report", "tiny", "--figures", "png", code=2).error == "unknown-format"
    assert "writes files of figures, so it" in call("report", "tiny", "--figures", "pdf", "--json", code=2).err


@pytest.mark.slow
def test_open_opens_the_page_and_nothing_else(call, tiny: Path, fill, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda url: bool(opened.append(url)) or len(opened) < 2)
    fill(tiny)
    call("report", "tiny", "--open", "--out", "page.html")
    assert opened == [Path("page.html").absolute().as_uri()]
    assert "Open page.html in one." in call("report", "tiny", "--open", "--out", "page.html").err
    for wrong in (["--format", "md"], ["--methods"], ["--figures", "pdf"]):
        assert call("report", "tiny", "--open", *wrong, code=2).error == "usage"
    assert len(opened) == 2


def test_details_are_for_pages(call, tiny: Path, fill) -> None:
    fill(tiny)
    assert call("report", "tiny", "--details", "--format", "md", code=2).error == "usage"
    assert call("report", "--all", "--details", code=2).error == "usage"
    call("report", "tiny", "--out", "plain.html")
    call("report", "tiny", "--details", "--out", "details.html")
    assert '"details":[{"log"' not in Path("plain.html").read_text()
    assert '"details":[{"log"' in Path("details.html").read_text()
