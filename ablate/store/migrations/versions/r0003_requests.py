"""Requests: who asked for which runs. Variants of a study, and the code of each attempt."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
BATCH = 2_000


def upgrade() -> None:
    _create()
    _studies()
    _requests()
    _study_runs()
    _codes()


def _create() -> None:
    op.create_table(
        "requests",
        sa.Column("id", KEY, nullable=False),
        sa.Column("study", KEY, nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("file", sa.Text(), nullable=False),
        sa.Column("folder", sa.Text(), nullable=False),
        sa.Column("settings", sa.Text(), nullable=False),
        sa.Column("set", sa.Text(), nullable=False),
        sa.Column("code", sa.Text(), nullable=True),
        sa.Column("created", sa.Double(), nullable=False),
        sa.ForeignKeyConstraint(["study"], ["studies.id"]),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_requests_study", "requests", ["study"], unique=False)
    op.create_table(
        "request_runs",
        sa.Column("request", KEY, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("run", KEY, nullable=False),
        sa.Column("queued", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["request"], ["requests.id"]),
        sa.ForeignKeyConstraint(["run"], ["runs.id"]),
        sa.PrimaryKeyConstraint("request", "position"),
        sa.UniqueConstraint("run", "request", name="uq_request_runs_run_request"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_request_runs_queued", "request_runs", ["request", "queued", "position", "run"], unique=False)


def _studies() -> None:
    """What was last run with `--set` is a variant from now on: the plain name never means it."""
    op.add_column("studies", sa.Column("variant", sa.Text(), nullable=True))
    op.add_column("studies", sa.Column("text", sa.Text(), nullable=True))
    connection = op.get_bind()
    connection.execute(sa.text("UPDATE studies SET variant = '', text = ''"))
    for key, settings in connection.execute(sa.text("SELECT id, settings FROM studies")).all():
        sets = _sets(settings)
        if sets:
            connection.execute(
                sa.text("UPDATE studies SET variant = :variant WHERE id = :key"), {"variant": _json(sets), "key": key}
            )
    with op.batch_alter_table("studies") as table:
        table.alter_column("variant", existing_type=sa.Text(), nullable=False)
        table.alter_column("text", existing_type=sa.Text(), nullable=False)
        table.drop_constraint("uq_studies_name_profile", type_="unique")
        table.create_unique_constraint("uq_studies_name_profile_variant", ["name", "profile", "variant"])


def _requests() -> None:
    """One for each study: whoever ran it last. Which folder and which code that was, nobody wrote down."""
    connection = op.get_bind()
    seeds: dict[int, list[int]] = {}
    asked = sa.text(
        "SELECT DISTINCT study_runs.study, runs.seed FROM study_runs JOIN runs ON runs.id = study_runs.run "
        "WHERE NOT study_runs.is_parent ORDER BY study_runs.study, runs.seed"
    )
    for study, seed in connection.execute(asked):
        seeds.setdefault(study, []).append(seed)
    insert = sa.text(
        'INSERT INTO requests (study, text, source, file, folder, settings, "set", code, created) '
        "SELECT id, '', source, file, '', :settings, :sets, NULL, last_run FROM studies WHERE id = :key"
    )
    for key, text in connection.execute(sa.text("SELECT id, settings FROM studies ORDER BY last_run, id")).all():
        settings = {**_object(text), "seeds": seeds.get(key, []), "migrated": True}
        connection.execute(insert, {"key": key, "settings": _json(settings), "sets": _json(_sets(text))})
    connection.execute(
        sa.text(
            "INSERT INTO request_runs (request, position, run, queued) "
            "SELECT requests.id, study_runs.position, study_runs.run, runs.state IN ('queued', 'running') "
            "FROM requests JOIN study_runs ON study_runs.study = requests.study JOIN runs ON runs.id = study_runs.run"
        )
    )


def _study_runs() -> None:
    op.drop_index("ix_study_runs_queued", "study_runs")
    before = sa.Table(
        "study_runs",
        sa.MetaData(),
        sa.Column("study", KEY, sa.ForeignKey("studies.id"), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("run", KEY, sa.ForeignKey("runs.id"), nullable=False),
        sa.Column("arm", sa.Text(), nullable=False),
        sa.Column("levels", sa.Text(), nullable=False),
        sa.Column("aliases", sa.Text(), nullable=False),
        sa.Column("is_parent", sa.Boolean(), nullable=False),
        sa.Column("queued", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("study", "position"),
        sa.UniqueConstraint("run", "study", name="uq_study_runs_run_study"),
        sqlite_with_rowid=False,
    )
    with op.batch_alter_table("study_runs", copy_from=before) as table:  # SQLite drops columns only since 3.35
        table.drop_column("queued")


def _codes() -> None:
    op.add_column("attempts", sa.Column("code", sa.Text(), nullable=True))
    connection = op.get_bind()
    update = sa.text("UPDATE attempts SET code = :code WHERE run = :run AND number = :number")
    for rows in _attempts(connection):
        found = [{"run": run, "number": number, "code": _code(text)} for run, number, text in rows]
        known = [row for row in found if row["code"] is not None]
        if known:
            connection.execute(update, known)


def _attempts(connection: sa.Connection) -> Iterator[list[Any]]:
    """Runs, numbers and environments of all attempts, some at a time."""
    last = (-1, -1)
    some = sa.text(
        "SELECT run, number, environment FROM attempts WHERE run > :run OR (run = :run AND number > :number) "
        f"ORDER BY run, number LIMIT {BATCH}"
    )
    while rows := connection.execute(some, {"run": last[0], "number": last[1]}).all():
        yield list(rows)
        last = (rows[-1][0], rows[-1][1])


def _code(environment: str) -> str | None:
    code = _object(environment).get("code")
    return code if code is None or isinstance(code, str) else _json(code)


def _sets(settings: str) -> list[str]:
    given = _object(settings).get("set")
    return sorted(str(item) for item in given) if isinstance(given, list) else []


def _object(text: str) -> dict[str, Any]:
    value = json.loads(text)
    return value if isinstance(value, dict) else {}


def _json(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
