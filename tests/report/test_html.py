"""The page: whole, offline, inert against hostile names; and files written whole or not at all."""

from __future__ import annotations

import base64
import errno
import hashlib
import json
import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from ablate.analysis.table import Table
from ablate.errors import NoSpaceOrPermission, UsageError
from ablate.report.declare import StudyReport
from ablate.report.html import PLOTLY, embedded, render_html, write_plotlyjs, write_report
from ablate.report.page import matrices_once
from ablate.study.records import RunResult
from ablate.study.values.run import Run

CITE = {"title": "A paper", "source": "https://example.org/paper", "year": 2024}
EVIL = "</script><img src=x onerror=\"document.title='owned'\">"


def page(tables: Sequence[Table], plotlyjs: Any = "shared", **changes: Any) -> str:
    given: dict[str, Any] = {
        "title": "lee2024",
        "about": "Which tweaks help?",
        "cite": CITE,
        "source": "study: lee2024\n",
    }
    return render_html(StudyReport(tables=tables, **(given | changes)), plotlyjs=plotlyjs)


class Read(HTMLParser):
    """Tags, their attributes, and the text of scripts, as a browser would find them."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.text: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append((dict(attrs), ""))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] == "script" and self.lasttag == "script" and self.cdata_elem == "script":
            attrs, text = self.scripts.pop()
            self.scripts.append((attrs, text + data))
        else:
            self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


def test_the_page_says_what_it_is_about(table1: Table, table3: Table, runs: tuple[RunResult, ...]) -> None:
    text = page([table1, table3], runs=runs)
    words = " ".join(" ".join(Read(text).text).split())
    assert "Which tweaks help?" in words
    assert "A paper , https://example.org/paper ; year: 2024" in words
    assert "profile cpu, caltech101, 32 px, 10 epochs, 2 CPU threads; not comparable with the paper" in words
    assert "✗ contradicted A is best of A, C, D" in words
    assert "0.95 ≠ differs width 0.119" in words
    assert words.count("not comparable") >= 9  # the scale line, and a chip beside each of table 3's figures
    assert "study: lee2024" in words
    assert len(re.findall(r'<tr class="baseline">', text)) == 2


def test_one_scale_is_said_once_for_the_page(table1: Table, effects: Table, table3: Table) -> None:
    assert page([table1, effects]).count('class="scale') == 1
    assert page([table1, table3]).count('class="scale') == 2
    assert 'class="scale warn"' in page([table3])


def test_bold_is_decided(table3: Table) -> None:
    assert len(re.findall(r'class="delta decided"', page([table3]))) == 4


def test_hover_holds_runs_n_and_intervals(table1: Table) -> None:
    tips = [attrs["title"] or "" for attrs in Read(page([table1])).all("td") if "title" in attrs]
    assert any("n=3" in tip and "95% interval [0.720, 0.764]" in tip and "runs 2ec2665a3183" in tip for tip in tips)


def test_figures_of_the_first_table_are_open_and_the_rest_folded(table1: Table, table3: Table, classes: Table) -> None:
    text = page([table1, table3, classes])
    before, after = text.split('<details class="figures-of">', 1)
    assert before.count('class="plot"') == 3
    assert after.count('class="plot"') == 5
    assert re.findall(r"<summary>([^<]*)", text)[:3] == ["1 figure", "2 figures", "Confusion matrix"]
    assert "open" not in re.findall(r"<details[^>]*>", text)[0]


def test_a_table_over_epochs_opens_as_its_figure(table1: Table, epochs: Table) -> None:
    text = page([table1, epochs])
    own = text[text.index('<section id="table-2') :]
    before, folded, after = own.partition('<details class="rows-of">')
    assert before.count('class="plot"') == 3
    assert folded
    assert after.count('class="plot"') == 0
    assert f"<summary>The table, {len(epochs.rows)} rows</summary>" in after
    bare = page([table1, replace(epochs, curves=())])
    assert '<details class="rows-of">' not in bare


def test_a_page_draws_so_many_confusion_matrices_and_says_so(classes: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    three = tuple(replace(classes.confusions[0], arm=f"arm-{number}") for number in range(3))
    assert "Confusion matrices of the first" not in page([replace(classes, confusions=three)])
    monkeypatch.setattr("ablate.report.figures.MOST_MATRICES", 2)
    bounded = page([replace(classes, confusions=three)])
    assert "Confusion matrices of the first 2 of 3 arms; use `where`, or another table, to show others." in bounded
    assert "arm-1" in bounded
    assert "arm-2" not in bounded


def test_a_confusion_matrix_is_drawn_once(table1: Table, classes: Table) -> None:
    other = replace(classes.confusions[0], arm="resnet50")
    both = replace(table1, confusions=(*classes.confusions, other))
    assert matrices_once([both, both, classes]) == [(other,), (), classes.confusions]
    assert page([both, both, classes]).count(": counts</h3>") == 2
    several = page([replace(table1, confusions=(*classes.confusions, other))])
    assert "<summary>Confusion matrices of 2 arms</summary>" in several


def test_few_runs_are_listed_and_many_are_folded(table1: Table, runs: tuple[RunResult, ...]) -> None:
    assert "<details open><summary>All 3 runs</summary>" in page([table1], runs=runs)
    assert "<details><summary>All 30 runs</summary>" in page([table1], runs=runs * 10)


def test_ids_are_unique_and_plain(table1: Table, table3: Table, classes: Table, hostile: Table) -> None:
    for text in (page([table1, table1, table3, classes]), page([hostile, hostile])):
        ids = [attrs["id"] or "" for _, attrs in Read(text).tags if "id" in attrs]
        assert max(Counter(ids).values()) == 1
        assert all(re.fullmatch(r"[a-z0-9-]+", name) for name in ids)


def test_a_figure_of_costs_and_a_matrix_have_ids_of_their_own(table1: Table, classes: Table) -> None:
    runs = [
        RunResult(Run(run_id, "a" * 64, 0, {}), "done", seconds=60.0 + place, device="cpu")
        for place, run_id in enumerate(run_id for row in table1.rows for run_id in row.cells["top1"].run_ids)
    ]
    text = page([replace(table1, confusions=classes.confusions)], runs=runs)
    ids = [attrs["id"] or "" for _, attrs in Read(text).tags if "id" in attrs]
    assert "against the seconds of a run" in text
    assert max(Counter(ids).values()) == 1


def test_the_policy_allows_our_scripts_and_nothing_else(table1: Table) -> None:
    text = page([table1], plotlyjs="inline")
    read = Read(text)
    policy = next(attrs["content"] or "" for attrs in read.all("meta") if attrs.get("http-equiv"))
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "http" not in policy
    assert "'unsafe-inline'" not in policy.split("style-src")[0]
    code = [body for attrs, body in read.scripts if attrs.get("type") != "application/json"]
    digests = {base64.b64encode(hashlib.sha256(body.encode()).digest()).decode() for body in code}
    assert set(re.findall(r"'sha256-([^']+)'", policy)) == digests
    assert len(code) == 2
    assert len(text) < 5_200_000


def test_a_page_loads_nothing_from_elsewhere(table1: Table, classes: Table) -> None:
    read = Read(page([table1, classes]))
    loaded = [attrs[key] for _, attrs in read.tags for key in ("src", "href") if key in attrs]
    assert [at for at in loaded if at and not at.startswith("#")] == ["https://example.org/paper", PLOTLY]
    assert not [tag for tag, _ in read.tags if tag in ("link", "img", "iframe", "object", "base", "form")]


def test_shared_plotly_is_written_once(tmp_path: Path, table1: Table) -> None:
    text = page([table1], plotlyjs="shared")
    assert f'<script id="plotly" src="{PLOTLY}" async></script>' in text
    assert len(text) < 100_000
    path = write_plotlyjs(tmp_path)
    first = path.stat().st_mtime_ns
    os.utime(path, ns=(first - 10**9, first - 10**9))
    assert write_plotlyjs(tmp_path) == path
    assert path.stat().st_mtime_ns == first - 10**9  # equal: left alone
    path.write_text("an older one", encoding="utf-8")
    write_plotlyjs(tmp_path)
    assert "plotly.js" in path.read_text(encoding="utf-8")[:100]


def test_plotly_stays_out_of_a_page_without_figures(empty: Table) -> None:
    assert len(page([empty], plotlyjs="inline")) < 60_000
    assert "This study has no tables yet." in page([])


def test_another_plotlyjs_is_a_usage_error(table1: Table) -> None:
    with pytest.raises(UsageError, match=r"^plotlyjs is 'inline' or 'shared', not 'cdn'\.$"):
        page([table1], plotlyjs="cdn")


def test_hostile_names_make_no_elements(hostile: Table, runs: tuple[RunResult, ...]) -> None:
    bad = tuple(replace(run, error=EVIL, device=EVIL) for run in runs)
    cite = {"title": EVIL, "source": "javascript:alert(1)", EVIL: EVIL}
    read = Read(page([hostile], title=EVIL, about=EVIL, cite=cite, source=EVIL, runs=bad))
    assert not read.all("img")
    assert not [name for _, attrs in read.tags for name in attrs if name.startswith("on")]
    assert not [attrs for attrs in read.all("a") if (attrs["href"] or "").startswith("javascript")]
    assert [attrs.get("type") or attrs.get("src") for attrs, _ in read.scripts].count("application/json") == 6
    for attrs, body in read.scripts:
        if attrs.get("type") == "application/json":
            json.loads(body)


def test_embedded_json_cannot_end_its_element() -> None:
    text = embedded({"a": "</script><!--&"})
    assert not re.search(r"[<>&]", text)
    assert json.loads(text) == {"a": "</script><!--&"}


def test_nan_never_reaches_a_page(table1: Table) -> None:
    cells = {
        "top1": replace(table1.rows[0].cells["top1"], mean=float("nan"), sd=float("inf"), ci95=(float("nan"), 1.0))
    }
    rows = (replace(table1.rows[0], cells=cells), *table1.rows[1:])
    text = page([replace(table1, rows=rows)])
    assert not re.search(r"\bNaN\b|\bInfinity\b", "".join(body for a, body in Read(text).scripts if a.get("type")))


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
def test_a_browser_draws_the_figures_and_obeys_no_name(tmp_path: Path, hostile: Table, table1: Table) -> None:
    write_plotlyjs(tmp_path)
    path = tmp_path / "report.html"
    write_report(path, page([hostile, table1], title=EVIL, about=EVIL, source=EVIL, cite={EVIL: EVIL}))
    flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-background-networking",
        "--enable-logging=stderr",
    ]
    flags += [f"--user-data-dir={tmp_path / 'profile'}", "--window-size=1280,4000", "--virtual-time-budget=8000"]
    command = [str(CHROMIUM), *flags, "--dump-dom", path.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert "<title>&lt;/script&gt;&lt;img" in done.stdout  # not "owned"
    assert not re.search(r"<img", done.stdout)
    assert done.stdout.count('class="modebar-container"') == 4  # bars, curves, two matrices; table 2 is folded
    assert "CONSOLE" not in done.stderr  # neither an error nor a violation of the policy


def test_reports_are_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "report.html"
    write_report(path, "first ±")
    write_report(path, "second")
    assert path.read_text(encoding="utf-8") == "second"
    assert [child.name for child in path.parent.iterdir()] == ["report.html"]


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real.html").write_text("old", encoding="utf-8")
    (tmp_path / "link.html").symlink_to(tmp_path / "real.html")
    write_report(tmp_path / "link.html", "new")
    assert (tmp_path / "real.html").read_text(encoding="utf-8") == "new"
    assert (tmp_path / "link.html").is_symlink()


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk is full. Free some space, or write elsewhere with --out."),
        (errno.EDQUOT, "the disk quota is used up. Free some space, or write elsewhere with --out."),
        (errno.EACCES, "permission denied. Choose a folder that you can write to with --out."),
        (errno.EROFS, "the file system is read-only. Choose a folder that you can write to with --out."),
    ],
)
def test_a_failed_write_leaves_the_old_report(
    number: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "report.html"
    write_report(path, "old")

    def fail(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("ablate.report.html.os.fsync", fail)
    with pytest.raises(NoSpaceOrPermission, match=f"^cannot write {re.escape(str(path))}: {re.escape(words)}$"):
        write_report(path, "new")
    assert path.read_text(encoding="utf-8") == "old"
    assert [child.name for child in tmp_path.iterdir()] == ["report.html"]


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"Is a directory\. Choose another file with --out\.$"):
        write_report(tmp_path, "text")
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(UsageError, match=r"^cannot write .*file/report\.html: "):
        write_report(tmp_path / "file" / "report.html", "text")
