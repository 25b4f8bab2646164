from __future__ import annotations

from typing import Any

import pytest

HEAD = """
study: s
seeds: 3
factors:
  tweak: {path: model.tweak, levels: [A, B, C]}
  refine: {subsets: {c: {schedule.name: cosine}, l: {loss.label_smoothing: 0.1}}}
baseline: {tweak: A, refine: none}
recipe: {model.arch: resnet50}
exclude: [{tweak: C, refine: {not: none}}]
tables:
  t:
    rows: [tweak, refine]
    columns: [top1, top5, loss, support2]
    claims:
      - """.replace(", support2", "")


def claim(read: Any, text: str, head: str = HEAD) -> tuple[str, list[str], float, str, dict[str, str]]:
    (found,) = read(head + text).tables["t"].claims
    return (
        found.kind,
        ["/".join(term.levels.values()) for term in found.terms],
        found.by,
        found.metric,
        dict(found.where),
    )


@pytest.mark.parametrize(
    ("text", "kind", "terms", "by", "metric"),
    [
        ("B > A", ">", ["B/none", "A/none"], 0.0, "top1"),
        ("B>A", ">", ["B/none", "A/none"], 0.0, "top1"),
        ("B < c by 0.05", "<", ["B/none", "A/c"], 0.05, "top1"),
        ("c > l by 5%", ">", ["A/c", "A/l"], 0.05, "top1"),
        ("B > baseline on top5", ">", ["B/none", "A/none"], 0.0, "top5"),
        ("B/l+c > tweak=B by 1e-2 on loss", ">", ["B/c+l", "B/none"], 0.01, "loss"),
        ("A is best of B, C", "best", ["A/none", "B/none", "C/none"], 0.0, "top1"),
        ("A is best of A, B, C", "best", ["A/none", "B/none", "C/none"], 0.0, "top1"),
        ("c is the worst of l,none on loss", "worst", ["A/c", "A/l", "A/none"], 0.0, "loss"),
        ("(A/c - A) > (B/c - B)", "gain", ["A/c", "A/none", "B/c", "B/none"], 0.0, "top1"),
        ("(A/c - A) < (B/c - B) by 0.1", "gain", ["B/c", "B/none", "A/c", "A/none"], 0.1, "top1"),
        ("c > l where tweak=B", ">", ["B/c", "B/l"], 0.0, "top1"),
        ("c > l on top5 where tweak=B", ">", ["B/c", "B/l"], 0.0, "top5"),
        ("c > l where tweak=B on top5", ">", ["B/c", "B/l"], 0.0, "top5"),
        ("B > A where refine=l+c", ">", ["B/c+l", "A/c+l"], 0.0, "top1"),
    ],
)
def test_every_form(read: Any, text: str, kind: str, terms: list[str], by: float, metric: str) -> None:
    assert claim(read, f"'{text}'")[:4] == (kind, terms, by, metric)


def test_where_is_kept(read: Any) -> None:
    assert claim(read, "c > l where tweak=B")[4] == {"tweak": "B"}
    assert claim(read, "B/c > B/l")[4] == {}


def test_best_without_of_is_among_all_rows_of_the_grid(read: Any) -> None:
    kind, terms, *_ = claim(read, "B/c+l is best")
    assert kind == "best"
    assert terms == ["B/c+l", "A/none", "A/c", "A/l", "A/c+l", "B/none", "B/c", "B/l", "C/none"]  # C/c is excluded
    assert claim(read, "c+l is worst where tweak=B")[1] == ["B/c+l", "B/none", "B/c", "B/l"]


def test_best_is_among_the_rows_that_where_keeps(read: Any) -> None:
    head = HEAD.replace("    claims:", "    where: {tweak: [A, B], refine: [none, c]}\n    claims:")
    assert claim(read, "B is best", head)[1] == ["B/none", "A/none", "A/c", "B/c"]


def test_a_table_whose_columns_are_a_factor(read: Any) -> None:
    head = HEAD.replace("rows: [tweak, refine]", "rows: tweak").replace(
        "columns: [top1, top5, loss]", "columns: refine\n    metric: top5"
    )
    assert claim(read, "B/c > c", head)[:4] == (">", ["B/c", "A/c"], 0.0, "top5")


def test_prose_is_not_testable(read: Any) -> None:
    (found,) = read(HEAD + "{prose: 0.90 is what it feels like}").tables["t"].claims
    assert (found.kind, found.text, found.terms) == ("prose", "0.90 is what it feels like", ())


def test_names_may_hold_signs(read: Any) -> None:
    text = """
    study: s
    factors: {n: {path: epochs, levels: {<5: 4, ">5": 6, a-b: 7, is: 8}}}
    baseline: {n: <5}
    tables: {t: {rows: n, claims: [<5 > >5, a-b < is, is is best, (a-b - <5) > (is - <5)]}}
    """
    claims = read(text).tables["t"].claims
    assert [[term.levels["n"] for term in claim.terms] for claim in claims] == [
        ["<5", ">5"], ["a-b", "is"], ["is", "<5", ">5", "a-b"], ["a-b", "<5", "is", "<5"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("B beats A", 'bad-claim'),
        ("B >= A", 'bad-claim'),
        ("''", 'bad-claim'),
        ("B > X", 'unknown-name'),
        ("B > A by much", 'bad-claim'),
        ("B > A by -0.1", 'bad-claim'),
        ("B > A by nan", 'bad-claim'),
        ("B > A by 1_0", 'bad-claim'),
        ("B > A on top2", 'unknown-metric'),
        ("B > A on top1 on top5", 'bad-claim'),
        ("B > A where twek=B", 'unknown-name'),
        ("B > A where refine=x", 'unknown-name'),
        ("c > B/l where tweak=A", 'unknown-name'),
        ("A > A/none", 'bad-claim'),
        ("A is best of A", 'bad-claim'),
        ("(A - B) > (A - B)", 'bad-claim'),
        ("[B > A]", 'wrong-type'),
        ("{B: A}", 'wrong-type'),
        ("", 'wrong-type'),
        ("B > A" + " " * 2000 + "by 1", 'bad-claim'),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_an_error(mistakes: Any, text: str, message: str) -> None:
    (line,) = mistakes(HEAD + (f"'{text}'" if len(text) > 1000 else text))
    assert line.startswith(f"s.yaml:15: tables.t.claims.0: {message}")


def test_claims_are_a_list(mistakes: Any) -> None:
    text = HEAD[: HEAD.index("    claims:")] + "    claims: B > A\n"
    assert mistakes(text) == ["s.yaml:14: tables.t.claims: wrong-type"]


def test_a_row_outside_the_table_is_no_row(mistakes: Any) -> None:
    head = HEAD.replace("    claims:", "    where: {tweak: [A, B]}\n    claims:")
    assert mistakes(head + "C > A") == ["s.yaml:16: tables.t.claims.0: unknown-name"]


def test_best_needs_a_metric_with_a_direction(mistakes: Any) -> None:
    head = HEAD.replace("[top1, top5, loss]", "[top1, epochs_trained]")
    (line,) = mistakes(head + "A is best on epochs_trained")
    assert line.endswith("tables.t.claims.0: bad-claim")
