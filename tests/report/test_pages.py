"""Pages of published results: what differs is copied as it is, long tables fold, nothing of a machine, names stay inert."""

from __future__ import annotations

from dataclasses import replace

import pytest
from golden_texts import worded

from ablate.analysis.table import Cell, Table
from ablate.report import published as say
from ablate.report.declare import Sentence
from ablate.report.index import render_index
from ablate.report.pages import MADE, markdown_pages, paper_page, what_differs, without_places
from ablate.report.published import Collection, Paper, RunEntry, StudyEntry, TableEntry

DAY = 1_700_000_000.0  # 2023-11-14 in UTC

RUNS = {
    **{f"cpu{number}": RunEntry("done", DAY, "an EPYC, 2 threads", "c0de") for number in range(3)},
    **{f"gpu{number}": RunEntry("done", DAY + 86_400.0, "a GPU", "c0de") for number in range(6)},
    "q1": RunEntry("queued"),
    "q2": RunEntry("queued"),
    "f": RunEntry("failed"),
}


def study(*tables: Table, **changes: object) -> StudyEntry:
    given = StudyEntry(
        "lee2024",
        "experiments/lee2024/lee2024.yaml",
        about="Which tweaks help?",
        cite={"title": "A paper", "source": "Lee 2024"},
        runs=RUNS,
        tables=tuple(TableEntry(table, 9, 12) for table in tables),
        commands=("ablate grid run experiments/lee2024/lee2024.yaml",),
    )
    return replace(given, **changes)  # type: ignore[arg-type]


def test_the_words_of_a_study(table1: Table) -> None:
    one = study(table1)
    assert (one.done, one.planned, one.page) == (9, 12, "lee2024.html")
    assert say.progress([one]) == "9 of 12 runs done, 1 failed"
    assert say.when([one]) == "2023-11-14 to 2023-11-15"
    assert say.when([replace(one, runs={"r": RUNS["cpu0"]})]) == "2023-11-14"
    assert say.when([]) == ""
    assert say.trained_on([one]) == ["a GPU (6 runs)", "an EPYC, 2 threads (3 runs)"]
    assert say.trained_by([one]) == ["c0de (9 runs)"]
    assert say.counted(say.verdicts([one])) == "1 holds, 1 contradicted, 1 undecided, 1 not testable"
    assert say.counted(say.agreements([one])) == "4 agrees, 1 differs"
    assert say.counted(say.verdicts([])) == "—"
    none = replace(one, runs=dict.fromkeys("abc", RunEntry("queued")), tables=())
    assert (say.scale(one), say.scale(replace(one, profile="cpu")), say.scale(none)) == (
        "full scale",
        "profile cpu",
        "not run",
    )
    assert (say.scales([one, none]), say.scales([none]), none.page) == ("full scale", "not run", "")


def test_runs_that_were_compared_with_later_code_are_told_of() -> None:
    def told(*again: bool | None) -> str:
        return say.trained_again(
            [study(runs={str(n): replace(RUNS["cpu0"], again=one) for n, one in enumerate(again)})]
        )

    assert told(None, None) == ""
    worded(told(True, None), "1 run ", "bit-equal")
    worded(told(True, True), "2 runs ", "bit-equal")
    worded(told(True, False), "2 runs ", "1 of them", "bit-equal")
    worded(told(False), "1 run ", "different")
    page = paper_page(Paper("lee2024", (study(runs={"r": replace(RUNS["cpu0"], again=True)}),)))
    assert f"Code: c0de (1 run). {told(True)}. " in page


def test_a_run_that_two_studies_share_counts_once() -> None:
    one = study()
    other = study(name="other", runs={"cpu0": RUNS["cpu0"], "new": RunEntry("done", DAY, "a GPU", "c0de")})
    assert say.progress([one, other]) == "10 of 13 runs done, 1 failed"
    assert say.trained_on([one, other]) == ["a GPU (7 runs)", "an EPYC, 2 threads (3 runs)"]
    index = markdown_pages(Collection("results.db", (Paper("lee2024", (one, other)),)))["README.md"]
    assert "\n| **all** | 2 of 2 | full scale | 10 of 13 | 2023-11-14 to 2023-11-15 | — | — |\n" in index


def test_each_table_says_its_scale_where_they_differ(table1: Table, table3: Table) -> None:
    same = paper_page(Paper("lee2024", (study(table1, replace(table1, name="again")),)))
    assert same.count("\n> full scale: caltech101") == 1
    both = paper_page(Paper("lee2024", (study(table1, table3),)))
    assert both.count("\n> full scale: caltech101") == 1
    assert both.count("\n> profile cpu, caltech101, 32 px") == 1
    assert (
        both.index("### table1") < both.index("> full scale") < both.index("### table3") < both.index("> profile cpu")
    )


def test_long_tables_are_folded(table1: Table) -> None:
    row = table1.rows[0]
    long = replace(table1, rows=tuple(replace(row, name=f"arm{number}") for number in range(25)))
    text = paper_page(Paper("lee2024", (study(long),)))
    assert "<details>\n<summary>25 rows</summary>\n\n| " in text
    assert "<details>" not in paper_page(Paper("lee2024", (study(replace(long, rows=long.rows[:24])),)))


def test_nothing_hangs_on_the_present_code_or_machine(table1: Table) -> None:
    row = table1.rows[0]
    lost = replace(row, cells={"top1": Cell(note="not run: no weights at /root/.cache/ablate/weights.pt, ~/a/b.pt")})
    table = replace(table1, rows=(lost,), notes=("Stale: 9 of 9 runs were trained by other code.", "Kept."))
    text = paper_page(Paper("lee2024", (study(table),)))
    assert "Stale" not in text
    assert "- Kept.\n" in text
    assert "(not run: no weights at weights.pt, b.pt)" in text


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("see /home/me/x.pt: gone", "see x.pt: gone"),
        ("resnet18/A/c+l", "resnet18/A/c+l"),
        ("https://example.org/a/b", "https://example.org/a/b"),
        ("`experiments/lee2024/lee2024.yaml`", "`experiments/lee2024/lee2024.yaml`"),
        ("9 / 12 and a/b", "9 / 12 and a/b"),
    ],
)
def test_only_places_of_a_machine_are_cut(text: str, kept: str) -> None:
    assert without_places(text) == kept


def test_what_differs_ends_at_the_next_heading_of_its_level() -> None:
    readme = "# P\n\n## What differs\n\nOne.\n\n```\n## not a heading\n```\n\n### Two\n\n- a\n\n## Next\n\nno\n"
    assert what_differs(readme) == "One.\n\n```\n## not a heading\n```\n\n### Two\n\n- a"
    assert what_differs("# P\n\n## What differs\n\nLast.\n") == "Last."
    assert what_differs("# P\n\nWhat differs\n") == ""
    assert what_differs("```\n## What differs\n```\nno\n") == ""


def test_every_markdown_page_is_marked_and_named(table1: Table) -> None:
    pages = markdown_pages(Collection("results.db", (Paper("lee2024", (study(table1),)), Paper("a b", (study(),)))))
    assert list(pages) == ["lee2024.md", "a b.md", "README.md"]
    assert all(MADE in text and text.endswith("\n") for text in pages.values())
    assert "[a b](a%20b.md)" in pages["README.md"]


def test_the_index_opens_with_what_each_study_found_and_what_all_of_them_cost(table1: Table) -> None:
    found = Sentence("B helps: top1 +0.071 [+0.045, +0.097].", "table1", "B", "top1", "decided")
    told = (
        found,
        Sentence("Undecided: C.", "table1", "C"),
        Sentence("Of 4 claims 1 holds."),
        Sentence("9 runs. Command: x"),
    )
    timed = {name: replace(run, seconds=3600.0) for name, run in RUNS.items()}
    one = study(table1, answer=told, runs=timed)
    none = study(name="other", runs=dict.fromkeys("abc", RunEntry("queued")))
    index = render_index(Collection("results.db", (Paper("lee2024", (one, none)),)))
    assert (
        '<li class="decided"><a href="lee2024.html">lee2024</a>: B helps: top1 +0.071 [+0.045, +0.097]. Of 4 claims 1 holds.</li>'
        in index
    )
    assert index.count("<li") == 1
    assert "9 of 15 runs done, 1 failed, 12.0 device-hours" in index
    assert index.index("B helps") < index.index("<main>")


def test_names_stay_inert(hostile: Table, table1: Table) -> None:
    evil = hostile.study
    entry = study(
        hostile,
        about=evil,
        cite={"title": evil, "source": evil},
        profile=evil,
        runs={"r": RunEntry("done", DAY, evil, evil)},
    )
    collection = Collection(evil, (Paper("lee2024", (entry,), unreadable=("experiments/<b>.yaml",)),))
    index = render_index(collection)
    assert "<img" not in index
    assert "&lt;/script&gt;&lt;img" in index
    assert "<script" not in index
    assert "<code>experiments/&lt;b&gt;.yaml</code>" in index
    assert "script-src 'none'" in index.replace("&#39;", "'")
    assert "\x1b" not in index
    assert "\u202e" not in index
    page = markdown_pages(collection)["lee2024.md"]
    assert "<img" not in page
    assert "\x1b" not in page
