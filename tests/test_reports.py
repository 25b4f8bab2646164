"""The committed pages of reports/ are what the committed results.db gives."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ablate.cli.published import collect
from ablate.report.pages import markdown_pages

ROOT = Path(__file__).resolve().parents[1]
REPORTS = ROOT / "reports"
DATABASE = ROOT / "results.db"
REFRESH = (
    "the pages in reports/ are not what results.db gives; refresh them with `make reports` and commit reports/*.md"
)


@pytest.mark.skipif(not DATABASE.exists(), reason="no results are published yet: there is no results.db")
def test_the_committed_pages_are_what_the_committed_database_gives() -> None:
    found = collect(ROOT / "experiments", str(DATABASE))
    assert not found.problems
    wanted = markdown_pages(found.collection)
    committed = {path.name: path.read_text(encoding="utf-8") for path in REPORTS.glob("*.md")}
    assert sorted(committed) == sorted(wanted), REFRESH
    assert [name for name in wanted if committed[name] != wanted[name]] == [], REFRESH


def test_the_committed_pages_name_nothing_of_a_machine() -> None:
    for path in REPORTS.glob("*.md"):
        assert not re.search(r"(?<![\w.])/(home|root|tmp|work|Users|var|mnt)/", path.read_text(encoding="utf-8")), path


def test_the_makefile_writes_them_and_git_keeps_the_markdown_only() -> None:
    assert re.search(r"^reports:.*\n\t\$\(ABLATE\) report --all$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert {"reports/*.html", "reports/*.js"} <= set(ignored)
    assert not any(line.startswith("reports") and not line.endswith((".html", ".js")) for line in ignored)
