"""The committed pages of reports/ are what the committed results.db gives."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest

from ablate.project.gathering import Collected, collect
from ablate.report import json as json_format
from ablate.report.pages import markdown_pages
from ablate.store.store import Store
from ablate.study.loader import Choices, load

ROOT = Path(__file__).resolve().parents[1]
REPORTS = ROOT / "reports"
DATABASE = ROOT / "results.db"
NUMBERS = ROOT / "tests/golden/published.tsv"
REFRESH = (
    "the pages in reports/ are not what results.db gives; refresh them with `make reports` and commit reports/*.md"
)


def _numbers(found: Collected) -> str:
    """Every cell and claim of all published tables as JSON has them, a line each, to eight digits; words are left out."""
    lines = []
    for entry in (entry for paper in found.collection.papers for entry in paper.studies):
        for document in (json_format.document(each.table) for each in entry.tables):
            where = (entry.label, document["table"])
            for row in document["rows"]:
                for column, cell in row["cells"].items():
                    ids = hashlib.sha256(" ".join(cell.pop("run_ids")).encode()).hexdigest()[:12]
                    values = [_short(value) for key, value in cell.items() if key not in ("note", "test")]
                    lines.append("\t".join([*where, row["row"], column, *values, ids]))
            lines += ["\t".join([*where, claim["text"], claim["verdict"]]) for claim in document["claims"]]
    return "\n".join(lines) + "\n"


def _short(value: object) -> str:
    if isinstance(value, list):
        return " ".join(_short(one) for one in value)
    return "-" if value in (None, "") else f"{value:.8g}" if isinstance(value, float) else json.dumps(value)


@pytest.fixture(scope="module")
def found() -> Collected:
    if not DATABASE.exists():
        pytest.skip("no results are published yet: there is no results.db")
    return collect(ROOT / "experiments", str(DATABASE))


def test_no_published_number_interval_verdict_or_run_has_moved(found: Collected) -> None:
    given = _numbers(found)
    assert given.splitlines() == NUMBERS.read_text(encoding="utf-8").splitlines()


def test_the_committed_pages_are_what_the_committed_database_gives(found: Collected) -> None:
    assert not found.problems
    wanted = markdown_pages(found.collection)
    committed = {path.name: path.read_text(encoding="utf-8") for path in REPORTS.glob("*.md")}
    assert sorted(committed) == sorted(wanted), REFRESH
    assert [name for name in wanted if committed[name] != wanted[name]] == [], REFRESH


@pytest.mark.skipif(not DATABASE.exists(), reason="no results are published yet: there is no results.db")
def test_what_is_said_of_lees_first_weights_is_what_the_database_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seeds 0 to 2 at full scale against table 1 to 3 of the paper, each with and without `c`."""
    monkeypatch.chdir(ROOT)
    study = load(ROOT / "experiments/lee2024/lee2024.yaml", Choices(seeds=3))
    names = {arm.arm_id: arm.name for arm in study.arms}
    with Store.open(f"sqlite:///{DATABASE}", read_only=True) as store:
        found = store.results([run.run_id for run in study.runs])
    ours = {(names[one.run.arm_id], one.run.seed): one.metrics["top1"] for one in found.values() if one.state == "done"}
    assert set(ours) == {(name, seed) for name in names.values() for seed in (0, 1, 2)}
    tables = [study.tables[name] for name in ("table1", "table2", "table3")]
    paper = {
        (row, table.name): figures[table.columns.index("top1")].value
        for table in tables
        for row, figures in table.reported.items()
    }

    def span(figures: dict[tuple[str, object], float], *, c: bool) -> str:
        held = [value for (name, _), value in figures.items() if c == ("c" in re.split(r"[/+]", name))]
        return f"{min(held):.2f} to {max(held):.2f}"

    said = " ".join((ROOT / "reports/lee2024.md").read_text(encoding="utf-8").split())
    assert f"with `c` end at top-1 {span(ours, c=True)}, where the paper prints {span(paper, c=True)}," in said
    assert f"the ten others at {span(ours, c=False)}, where it prints {span(paper, c=False)}." in said
    assert "Four claims of the paper, that c+l and c are the best refinements, are contradicted there" in said


def test_the_committed_pages_name_nothing_of_a_machine() -> None:
    for path in REPORTS.glob("*.md"):
        assert not re.search(r"(?<![\w.])/(home|root|tmp|work|Users|var|mnt)/", path.read_text(encoding="utf-8")), path


def test_the_makefile_writes_them_and_git_keeps_the_markdown_only() -> None:
    assert re.search(r"^reports:.*\n\t\$\(ABLATE\) report --all$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert {"reports/*.html", "reports/*.js"} <= set(ignored)
    assert not any(line.startswith("reports") and not line.endswith((".html", ".js")) for line in ignored)
