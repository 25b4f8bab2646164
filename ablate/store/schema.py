"""The tables. They are created by `migrations/`; a test holds the two in step.

    studies ──< requests ──< request_runs >── runs >── arms     what was asked for, by whom          what it is
       └──< study_runs >──────────────────────┘└──< attempts ──< epoch_metrics, final_metrics, confusions, artifacts
    trials                                                      what tuning asked for; it names its runs by run_id
    verified                                                    what later code trained again; likewise

A study has one row for each name, profile and variant (what `--set` made of it, as canonical JSON, '' where nothing).
`study_runs` is its present design: the runs that were ever asked for under the `text` that it has now. Requests stay:
one for each call, or one for a whole tuning. `request_runs.queued` says that a request still waits for a run: it is set
for each request that queues the run, stays while the run is queued or running, and is cleared for all when the run ends.

Integer keys stand inside; only 64-digit ids leave the package. Times are POSIX seconds by the database's clock, JSON is
canonical text. A study without a profile has the profile '' here, for NULLs are never equal in a unique key.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

REVISIONS = ("0001", "0002", "0003", "0004")
"""Every revision of the schema, oldest first; the last is the one that this code reads and writes."""

metadata = MetaData()

_Key = BigInteger().with_variant(Integer, "sqlite")


def _attempt_key() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(["run", "attempt"], ["attempts.run", "attempts.number"])


studies = Table(
    "studies",
    metadata,
    Column("id", _Key, primary_key=True),
    Column("name", Text, nullable=False),
    Column("profile", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("file", Text, nullable=False),
    Column("settings", Text, nullable=False),
    Column("created", Double, nullable=False),
    Column("last_run", Double, nullable=False),
    Column("variant", Text, nullable=False),
    Column("text", Text, nullable=False),  # digest of the design; '': unknown
    UniqueConstraint("name", "profile", "variant", name="uq_studies_name_profile_variant"),
)

arms = Table(
    "arms",
    metadata,
    Column("id", _Key, primary_key=True),
    Column("arm_id", String(64), nullable=False, unique=True),
    Column("recipe", Text, nullable=False),
    Column("trainer", Text),
)

runs = Table(
    "runs",
    metadata,
    Column("id", _Key, primary_key=True),
    Column("run_id", String(64), nullable=False, unique=True),
    Column("arm", _Key, ForeignKey("arms.id"), nullable=False),
    Column("seed", BigInteger, nullable=False),
    Column("parent", String(64)),
    Column("state", Text, nullable=False),
    Column("attempt", Integer, nullable=False),  # the newest; 0: none yet
    Column("counted", Integer, nullable=False),  # attempts lost in a row that got no further
    Column("kind", Text),
    Column("error", Text),
    Column("code", Text),  # of the newest attempt that ended well
    Column("created", Double, nullable=False),
    Index("ix_runs_state", "state"),
    Index("ix_runs_parent", "parent"),
    Index("ix_runs_arm", "arm"),
)

study_runs = Table(
    "study_runs",
    metadata,
    Column("study", _Key, ForeignKey("studies.id"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("run", _Key, ForeignKey("runs.id"), nullable=False),
    Column("arm", Text, nullable=False),
    Column("levels", Text, nullable=False),
    Column("aliases", Text, nullable=False),
    Column("is_parent", Boolean, nullable=False),
    UniqueConstraint("run", "study", name="uq_study_runs_run_study"),
    sqlite_with_rowid=False,
)

requests = Table(
    "requests",
    metadata,
    Column("id", _Key, primary_key=True),
    Column("study", _Key, ForeignKey("studies.id"), nullable=False),
    Column("text", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("file", Text, nullable=False),
    Column("folder", Text, nullable=False),  # absolute: where relative names of the study and its script begin
    Column("settings", Text, nullable=False),
    Column("set", Text, nullable=False),
    Column("code", Text),  # of the scripts as the asker saw them
    Column("created", Double, nullable=False),
    Index("ix_requests_study", "study"),
)

request_runs = Table(
    "request_runs",
    metadata,
    Column("request", _Key, ForeignKey("requests.id"), primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("run", _Key, ForeignKey("runs.id"), nullable=False),
    Column("queued", Boolean, nullable=False),
    UniqueConstraint("run", "request", name="uq_request_runs_run_request"),
    Index("ix_request_runs_queued", "request", "queued", "position", "run"),  # all that a claim reads of it
    sqlite_with_rowid=False,
)

attempts = Table(
    "attempts",
    metadata,
    Column("run", _Key, ForeignKey("runs.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("state", Text, nullable=False),
    Column("worker", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("boot", Text, nullable=False),
    Column("pid", BigInteger, nullable=False),
    Column("process_started", BigInteger),
    Column("device", Text),
    Column("started", Double, nullable=False),
    Column("ended", Double),
    Column("ttl", Double, nullable=False),
    Column("expires", Double, nullable=False),
    Column("beat", Double, nullable=False),  # the holder's host's monotonic clock, for those of the same boot
    Column("seconds", Double),
    Column("kind", Text),
    Column("error", Text),
    Column("environment", Text, nullable=False),
    Column("fingerprint", Text),
    Column("first_epoch", Integer),
    Column("last_epoch", Integer),
    Column("reported_split", Text),
    Column("selected_epoch", Integer),
    Column("details", Text, nullable=False),
    Column("code", Text),  # the environment's; NULL: unknown
    Index("ix_attempts_state", "state"),
)

epoch_metrics = Table(
    "epoch_metrics",
    metadata,
    Column("run", _Key, primary_key=True),
    Column("epoch", Integer, primary_key=True),
    Column("split", Text, primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("value", Double),  # NULL: measured, not finite
    _attempt_key(),
    sqlite_with_rowid=False,
)

final_metrics = Table(
    "final_metrics",
    metadata,
    Column("run", _Key, primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("value", Double),
    _attempt_key(),
    sqlite_with_rowid=False,
)

confusions = Table(
    "confusions",
    metadata,
    Column("run", _Key, primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("split", Text, primary_key=True),
    Column("at", Text, primary_key=True),
    Column("classes", Text, nullable=False),
    Column("counts", Text, nullable=False),
    _attempt_key(),
)

artifacts = Table(
    "artifacts",
    metadata,
    Column("run", _Key, primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("path", Text, primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    _attempt_key(),
    sqlite_with_rowid=False,
)

events = Table(
    "events",
    metadata,
    Column("id", _Key, primary_key=True),
    Column("at", Double, nullable=False),
    Column("kind", Text, nullable=False),
    Column("study", _Key, ForeignKey("studies.id")),
    Column("run", _Key, ForeignKey("runs.id")),
    Column("attempt", Integer),
    Column("detail", Text, nullable=False),
    Index("ix_events_run", "run"),
)

trials = Table(
    "trials",
    metadata,
    Column("tuning", String(64), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("study", Text, nullable=False),
    Column("profile", Text, nullable=False),
    Column("arm", Text, nullable=False),
    Column("params", Text, nullable=False),
    Column("distributions", Text, nullable=False),
    Column("runs", Text, nullable=False),
    Column("seen", Integer, nullable=False),  # trials that had ended when this one was asked for
    Column("state", Text, nullable=False),
    Column("told", Integer),  # its place among those that have ended, from 0
    Column("value", Double),
    Column("epochs", Integer),  # of all of its runs when it ended: one of them may go on for somebody else
    Column("seconds", Double),
    Column("error", Text),
    Column("attributes", Text, nullable=False),  # what its pruner noted
    Column("created", Double, nullable=False),
    Column("ended", Double),
    sqlite_with_rowid=False,
)

verified = Table(
    "verified",
    metadata,
    Column("run_id", String(64), primary_key=True),
    Column("code_x", Text, primary_key=True),  # whose numbers were there
    Column("code_y", Text, primary_key=True),  # who trained it again
    Column("fingerprint", Text, primary_key=True),
    Column("equal", Boolean, nullable=False),
    Column("difference", Double),  # the largest of a metric; NULL: one of the two has no number
    Column("what", Text, nullable=False),  # the metric that it is of
    Column("parts", Text, nullable=False),  # {part: [digest then, digest now]}
    Column("at", Double, nullable=False),
    sqlite_with_rowid=False,
)
