"""Values that a shell completes: each function runs while the user types, so it raises nothing and prints nothing."""

from __future__ import annotations

import contextlib
import functools
import io
from collections.abc import Callable, Collection
from typing import Any

import typer

from ablate.project import completing
from ablate.project.runs import COLUMNS
from ablate.study.values.metrics import METRICS

Values = list[str] | list[tuple[str, str]]
"""Values, or pairs of a value and what some shells show beside it."""
Completion = Callable[[typer.Context, str], Values]


def _silent(function: Completion) -> Completion:
    """No value where anything is wrong, nothing on stdout and stderr."""

    @functools.wraps(function)
    def completed(ctx: typer.Context, incomplete: str) -> Values:
        with contextlib.suppress(Exception), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):  # fmt: skip
            return function(ctx, incomplete)
        return []

    return completed


@_silent
def files(ctx: typer.Context, incomplete: str) -> Values:
    """Study files."""
    return completing.study_files(incomplete)


@_silent
def tuning_files(ctx: typer.Context, incomplete: str) -> Values:
    """Tuning files."""
    return completing.study_files(incomplete, tunings=True)


@_silent
def names(ctx: typer.Context, incomplete: str) -> Values:
    """Names of stored studies."""
    return completing.study_names(_db(ctx))


@_silent
def studies(ctx: typer.Context, incomplete: str) -> Values:
    """Names of stored studies, and study files."""
    return [*(str(name) for name in names(ctx, incomplete)), *(str(file) for file in files(ctx, incomplete))]


@_silent
def tables(ctx: typer.Context, incomplete: str) -> Values:
    """Tables of the study that stands in the command line, else of the stored ones."""
    return completing.table_names(ctx.params.get("study"), _db(ctx))


@_silent
def arms(ctx: typer.Context, incomplete: str) -> Values:
    """Names of arms, of the study that stands in the command line, else of all."""
    return completing.arm_names(ctx.params.get("study"), _db(ctx))


@_silent
def runs(ctx: typer.Context, incomplete: str) -> Values:
    """Beginnings of run ids."""
    return completing.run_names(incomplete.lower(), _db(ctx))


@_silent
def columns(ctx: typer.Context, incomplete: str) -> Values:
    """Columns of `runs list`, and metrics."""
    return [*COLUMNS, *METRICS]


def one_of(*values: str) -> Completion:
    """One of these."""

    def completed(ctx: typer.Context, incomplete: str) -> Values:
        return list(values)

    return completed


def choice(name: str, values: Collection[str], about: str) -> Any:
    """An option that takes one of these."""
    return typer.Option(name, metavar="|".join(values), help=about, autocompletion=one_of(*values))


def _db(ctx: typer.Context) -> str | None:
    given = ctx.params.get("db")
    return given if isinstance(given, str) else None
