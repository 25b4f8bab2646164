"""`ablate report [STUDY]`: tables as HTML, Markdown, LaTeX, CSV or JSON. Trains nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ablate.cli import completion
from ablate.cli.common import (
    Db,
    ProfileOption,
    SetOption,
    StoredStudyArgument,
    few_collections,
    print_json_text,
    require_reader,
    say,
    stdout_console,
)
from ablate.errors import ClaimContradicted, NotFound, RunFailure, StudyError, UsageError, check_choice, nearest
from ablate.project.pages import OF_STUDIES, build_tables, other_scale, render, styled
from ablate.project.text import plural
from ablate.report.declare import Format

if TYPE_CHECKING:
    from ablate.analysis.table import Table
    from ablate.project.planning import Plan
    from ablate.report.declare import Sentence
    from ablate.store.store import Store
    from ablate.study.records import RunResult
    from ablate.study.values.study import Study


@few_collections()
def report(
    study: StoredStudyArgument = None,
    table: Annotated[
        str | None,
        typer.Option("--table", help="One table of the study.  [default: all]", autocompletion=completion.tables),
    ] = None,
    format_: Annotated[str, completion.choice("--format", OF_STUDIES, "Output format.")] = "html",
    style: Annotated[
        str | None,
        typer.Option("--style", metavar="paper", help="With --format latex: paper, to fit a paper's column."),
    ] = None,
    width: Annotated[
        float | None,
        typer.Option("--width", metavar="PT", min=120, help="With --style: the width in points.  [default: 345]"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Output folder or file.  [default: reports/STUDY.html, else stdout]")
    ] = None,
    profile: ProfileOption = None,
    set_: SetOption = None,
    check: Annotated[
        bool, typer.Option("--check", help="Exit with 4 if runs are missing, 7 if a claim is contradicted.")
    ] = False,
    all_: Annotated[
        bool, typer.Option("--all", help="Write pages of every study in --experiments, and an index.")
    ] = False,
    experiments: Annotated[
        Path | None,
        typer.Option("--experiments", help="With --all: the folder of study files.  [default: experiments/]"),
    ] = None,
    methods: Annotated[
        bool, typer.Option("--methods", help="Print a paragraph for a paper's methods section, with BibTeX.")
    ] = False,
    since: Annotated[
        Path | None,
        typer.Option("--since", metavar="FILE", help="Print what changed since the report that --format json wrote."),
    ] = None,
    figures: Annotated[
        str | None,
        typer.Option("--figures", metavar="pdf|svg", help="Write the figures as files into the folder --out."),
    ] = None,
    json_: Annotated[
        bool, typer.Option("--json", help="Print one JSON document: of --methods, of --since, else as --format json.")
    ] = False,
    details: Annotated[
        bool,
        typer.Option(
            "--details",
            help="Put logs, all curves and matrices of single runs into the page. Read the logs before you send it.",
        ),
    ] = False,
    open_: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    db: Db = None,
) -> None:
    """Write a study's tables, with the paper's figures beside ours; with --all, the pages of all studies."""
    from ablate.cli.sent import refuse

    instead = "--methods" if methods else "--since" if since is not None else "--figures" if figures is not None else ""
    written = _written("json" if json_ and not instead and format_ == "html" else format_, style, width)
    given: dict[str, object] = {f"--format {format_}": format_ != "html", "--style": style, "--check": check}
    if all_:
        named: dict[str, object] = {"STUDY": study, "--table": table, "--profile": profile, "--set": set_}
        named |= {"--json": json_, "--details": details, instead: instead}
        refuse("--all", {**named, **given})
        index = _publish(experiments, out, db)
        if open_:
            _open(index)
        return
    if experiments is not None:
        raise UsageError("--experiments needs --all. For one study, give STUDY instead.")
    if instead:
        given |= {"--open": open_, "--details": details, "--since": methods and since}
        given |= {"--figures": instead != "--figures" and figures}
        refuse(instead, given)
        refuse(instead, {"--json": json_} if figures else {"--out": out})
    elif json_ and written.suffix != ".json":
        raise UsageError(f"--json is --format json, so it cannot be combined with --format {format_}.")
    if (open_ or details) and not written.page:
        option = "--open" if open_ else "--details"
        raise UsageError(f"{option} is for a page, so it cannot be combined with --format {written.name}.")
    store = require_reader(db)
    loaded = _which(store, study, table, profile, set_ or [])
    scale = other_scale(store, loaded, study) if profile is not None else ""
    if instead:
        _tell(store, loaded, study, table, out, scale, since, figures, json=json_)
        return
    tables, page = _report(written, store, loaded, study, table, out, scale, details=details)
    if open_ and page is not None:
        _open(page)
    planned = _say_what_is_left(store, loaded, study, db)
    if check:
        _leave(planned, tables)


def _tell(store: Store, loaded: Study, study: str | None, table: str | None, out: Path | None, scale: str,
          since: Path | None, figures: str | None, *, json: bool) -> None:  # fmt: skip
    """Files of figures; else what changed since a file was written; else the methods."""
    from ablate.cli.sent import print_changes, print_methods, write_figures

    names = [table] if table else _shown(loaded)
    tables, results = build_tables(store, loaded, names, alone=table is not None)
    _say_state(store, loaded, results, study)
    if figures is not None:
        write_figures(tables, out, loaded, scale, figures)
    elif since is not None:
        print_changes(since, loaded, tables, table, json=json)
    else:
        print_methods(loaded, tables, results, json=json)


def _written(format_: str, style: str | None, width: float | None) -> Format:
    check_choice(f"--format {format_}", format_, OF_STUDIES, code="unknown-format")
    if width is not None and style is None:
        raise UsageError("--width: only a style has a width.", code="no-styles")
    return styled(OF_STUDIES[format_], style, width)


def _open(page: Path) -> None:
    import webbrowser

    if not webbrowser.open(page.absolute().as_uri()):
        say(f"No browser was found here. Open {page} in one.")


def _publish(experiments: Path | None, out: Path | None, db: str | None) -> Path:
    """Write the pages of all studies; their index."""
    from ablate.project.publishing import publish

    published = publish(experiments or Path("experiments"), out or Path("reports"), db)
    print(published.summary)
    say(f"written: {published.index} (open it in a browser), {published.markdown}")
    if published.problems:
        raise StudyError(published.problems)
    return published.index


def _report(written: Format, store: Store, loaded: Study, study: str | None, table: str | None, out: Path | None,
            scale: str, *, details: bool) -> tuple[list[Table], Path | None]:  # fmt: skip
    """Write the tables that are asked for, and give them, with the file of the page."""
    from ablate.project.answers import answer_of

    whole = _shown(loaded)
    names = [table] if table else whole
    if table and written.page and out is None:
        names += [name for name in whole if name != table]  # the study's page stays whole
    if written.one_table and len(names) > 1 and (out is None or out.suffix):
        raise UsageError(
            f"{written.name.upper()} holds one table: add --table, one of {', '.join(names)}; or --out FOLDER for a file each.",
            code="one-table",
        )
    tables, results = build_tables(store, loaded, names, alone=table is not None)
    _say_state(store, loaded, results, study)
    found = answer_of(loaded, tables, results) if table is None or (written.page and out is None) else ()
    return tables, _write_report(written, loaded, tables, results, table, out, scale, found, details=details)


def _shown(loaded: Study) -> list[str]:
    """The names of the tables that have an arm."""
    from ablate.analysis.layout import tables_of

    return [spec.name for spec in tables_of(loaded)]


def _say_what_is_left(store: Store, loaded: Study, study: str | None, db: str | None) -> Plan:
    from ablate.cli.screens import TROUBLES, next_step, say_stale, say_troubles
    from ablate.project.planning import make_plan
    from ablate.project.stored import file_and_seeds

    planned = make_plan(loaded, store)
    say_stale(planned)
    if any(planned.counts[state] for state in ("to_run", "running", *TROUBLES)):
        say_troubles(planned, db)
        file, seeds = file_and_seeds(store, loaded, study)
        say(next_step(planned, file, seeds, db))
    return planned


def _say_state(store: Store, loaded: Study, results: Mapping[str, RunResult], study: str | None) -> None:
    from ablate.analysis.scale import run_as
    from ablate.project.stored import changed_since

    done = sum(run.run_id in results and results[run.run_id].state == "done" for run in loaded.runs)
    say(f"{loaded.name}, {run_as(loaded)}: {done} of {plural(len(loaded.runs), 'run')} done")
    if changed := changed_since(store, loaded, study):
        say(changed)


def _write_report(written: Format, loaded: Study, tables: list[Table], results: Mapping[str, RunResult], table: str | None,
                  out: Path | None, scale: str, answer: Sequence[Sentence], *, details: bool) -> Path | None:  # fmt: skip
    """A page goes to a file, after its first table is printed, so that a read-only folder hides no numbers. Other formats go to
    stdout unless `out` is given."""
    from ablate.cli.screens import print_tables, write_out
    from ablate.study.designs.variants import file_name

    name = file_name(loaded.name, loaded.sets, scale)
    if written.page:
        print_tables(tables[:1], stdout_console(), loaded.about, () if table else answer)
        if tables[1:]:
            say(f"more tables, with --table NAME: {', '.join(built.name for built in tables[1:])}")
        page = render(written, loaded, tables, results, scale, answer, details=details)
        return write_out(page, out or Path("reports"), f"{name}{written.suffix}")
    if out is None:
        text = render(written, loaded, tables, results, scale, answer).rstrip("\n")
        print_json_text(text) if written.suffix == ".json" else print(text)
    elif written.one_table and not out.suffix:
        for built in tables:
            write_out(render(written, loaded, [built], results, scale), out, f"{name}-{built.name}{written.suffix}")
    else:
        ending = f"{'-' + table if table else ''}{written.suffix}"
        write_out(render(written, loaded, tables, results, scale, answer), out, f"{name}{ending}")
    return None


def _which(store: Store, study: str | None, table: str | None, profile: str | None, sets: list[str]) -> Study:
    """The study that is meant; without a name, the one run last that has the table. Raises NotFound."""
    from ablate.project.stored import changed_since, stored_study

    if study is None:
        if sets:
            raise UsageError(f"--set {sets[0]} needs a STUDY.")
        return _run_last(store, table, profile)
    loaded = stored_study(store, study, profile, sets)
    if table is not None and table not in loaded.tables:
        changed = changed_since(store, loaded, study)
        raise NotFound(
            f"{loaded.name} has no table {table!r}.{nearest(table, loaded.tables)} Tables: {', '.join(loaded.tables)}."
            + (f" {changed}" if changed else ""),
            code="unknown-table",
        )
    return loaded


def _run_last(store: Store, table: str | None, profile: str | None) -> Study:
    """Of the studies run under the profile, the one run last that has the table. Raises NotFound."""
    from ablate.project.stored import stored_study
    from ablate.study.values.study import FULL, full_name

    every = store.studies()
    profiles = sorted({item.profile or FULL for item in every})
    if profile is not None and every and (profile or FULL) not in profiles:
        near = nearest(profile, profiles)
        raise NotFound(
            f"No study in the database was run with profile {profile!r}.{near} Profiles: {', '.join(profiles)}.",
            code="unknown-profile",
        )
    for record in store.studies(sets=()):
        if profile is not None and (record.profile or FULL) != (profile or FULL):
            continue
        loaded = stored_study(store, record.name, profile)
        if table is None or table in loaded.tables:
            say(f"study {loaded.name} (run last{f', with a table {table}' if table else ''})")
            return loaded
    known = sorted({full_name(item.name, None, item.sets) for item in every})
    wanted, code = (f"a table {table!r}", "unknown-table") if table else ("anything to show", "no-runs")
    raise NotFound(f"No study in the database has {wanted}. Studies there: {', '.join(known) or 'none'}.", code=code)


def _leave(planned: Plan, tables: list[Table]) -> None:
    """What --check asks: 4 if a planned run is missing, for whatever reason; else 7 if a claim is contradicted."""
    contradicted = [
        f"{table.name}: {claim.text} ({claim.why})"
        for table in tables
        for claim in table.claims
        if claim.verdict == "contradicted"
    ]
    told = f"{plural(len(contradicted), 'claim')} contradicted by the results: {'; '.join(contradicted)}"
    total = planned.counts["total"]
    if missing := total - planned.counts["done"]:
        states = ("failed", "lost", "blocked", "cancelled", "running", "to_run")
        why = ", ".join(
            f"{planned.counts[state]} {state.replace('_', ' ')}" for state in states if planned.counts[state]
        )
        also = f"; so far, {told}" if contradicted else ""
        raise RunFailure(
            f"--check: {missing} of {plural(total, 'run')} missing ({why}), so the claims are not final{also}"
        )
    if contradicted:
        raise ClaimContradicted(f"--check: {told}")
