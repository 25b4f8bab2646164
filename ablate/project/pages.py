"""A study's tables as a page or another text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from ablate.errors import UsageError, check_choice
from ablate.project.advice import command, shown_file
from ablate.report import FORMATS
from ablate.report.declare import PAPER_WIDTH, Format, StudyReport

if TYPE_CHECKING:
    from ablate.analysis.table import Table
    from ablate.report.declare import Sentence
    from ablate.store.store import Store
    from ablate.study.records import RunResult
    from ablate.study.values.study import Study

OF_STUDIES = {name: one for name, one in FORMATS.all().items() if one.study is not None}
"""The formats of studies."""


def study_page(loaded: Study, store: Store, format_: str) -> tuple[str, str]:
    """The file name and the text of all tables of a study. Raises UsageError for a format that there is not."""
    from ablate.analysis.layout import tables_of
    from ablate.project.answers import answer_of
    from ablate.study.designs.variants import file_name

    check_choice(f"format {format_!r}", format_, OF_STUDIES, code="unknown-format")
    written = OF_STUDIES[format_]
    names = [spec.name for spec in tables_of(loaded)]
    if written.one_table and len(names) > 1:
        raise UsageError(
            f"{format_} holds one table, and {loaded.name} has {len(names)}: use another format.", code="one-table"
        )
    tables, results = build_tables(store, loaded, names)
    scale = other_scale(store, loaded, None)
    return f"{file_name(loaded.name, loaded.sets, scale)}{written.suffix}", render(
        written, loaded, tables, results, scale, answer_of(loaded, tables, results)
    )


def styled(written: Format, style: str | None, width: float | None = None) -> Format:
    """The format in one of its styles, no wider than `width` points. Raises UsageError where it has no such style."""
    if style is None:
        return written
    if not written.styles:
        have = "; ".join(f"{name} has {', '.join(one.styles)}" for name, one in OF_STUDIES.items() if one.styles)
        raise UsageError(f"format {written.name} has no styles; {have}.", code="no-styles")
    check_choice(f"format {written.name} has no style {style!r}", style, written.styles, code="unknown-style")
    write, points = written.styles[style], PAPER_WIDTH if width is None else width
    return replace(written, study=lambda report: write(report, points))


def build_tables(
    store: Store, loaded: Study, names: Sequence[str], *, alone: bool = False
) -> tuple[list[Table], dict[str, RunResult]]:
    """The tables of these names (with those that compare with the tuned arms, unless `alone`) and the results behind them."""
    from ablate.analysis import build_table
    from ablate.project.results import looks_of, study_results

    looks = looks_of(loaded, store)
    results = study_results(loaded, store)
    tables = [build_table(loaded, loaded.tables[name], results, **looks) for name in names]
    if loaded.tune and not alone:
        from ablate.project.tunings import comparison_tables

        more, behind = comparison_tables(loaded, store)
        tables, results = [*tables, *more], {**results, **behind}
    return tables, results


def other_scale(store: Store, loaded: Study, study: str | None) -> str:
    """What files name the scale by; empty where the study's plain name means it anyway."""
    from ablate.project.stored import stored_study
    from ablate.study.values.study import FULL

    plain = stored_study(store, study or loaded.name, None, loaded.sets)
    return "" if plain.profile == loaded.profile else loaded.profile or FULL


def render(
    written: Format,
    loaded: Study,
    tables: Sequence[Table],
    results: Mapping[str, RunResult],
    scale: str = "",
    answer: Sequence[Sentence] = (),
    *,
    details: bool = False,
) -> str:
    """The text of a study's tables in a format; `scale` as `other_scale` gives it. `answer` is that of a whole study.

    With `details` a page has the ends of its runs' logs, as far as they are on this machine, all curves and matrices.
    """
    from ablate.project.runs import log_of
    from ablate.study.values.study import full_name

    assert written.study is not None
    title = full_name(loaded.name, (loaded.profile or "full scale") if scale else None, loaded.sets)
    report = study_report(loaded, tables, list(results.values()), title=title, answer=answer)
    if details:
        report = replace(report, logs={run_id: log_of(result) or "" for run_id, result in results.items()})
    return written.study(report)


def study_report(
    study: Study, tables: Sequence[Table], runs: Sequence[RunResult], *, title: str, answer: Sequence[Sentence] = ()
) -> StudyReport:
    """All that is to be written of a study."""
    from ablate.study.designs.variants import recipe_yaml

    again = command("runs", "verify", shown_file(study), profile=study.profile, sets=study.sets)
    return StudyReport(
        tables=tables,
        title=title,
        about=study.about,
        cite=study.cite,
        source=study.source,
        ran=recipe_yaml(study.base) if study.sets else "",
        runs=runs,
        answer=answer,
        again="" if study.trainer else again,
    )
