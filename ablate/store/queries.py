"""Reading: runs and studies as frozen values. Nothing here writes; the number of queries does not grow with the runs
beyond one round for each few thousand of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence

import sqlalchemy as sa

from ablate.errors import NotFound
from ablate.store.codec import from_json, sets_of, variant
from ablate.store.engine import AnyRow, AnySelect, Tx
from ablate.store.schema import arms, attempts, events, request_runs, runs, studies, study_runs
from ablate.store.seen import Codes, Seen, look
from ablate.store.transitions import UNDER_WAY
from ablate.store.values import Counts, Event, RunState, StoredStudy, StudyLink, Timing
from ablate.study.recipes.digest import SHORT
from ablate.study.recipes.recipe import shape_of
from ablate.study.values.recipe import AnyRecipe, recipe_of
from ablate.study.values.run import STATES

TUNING = "tune:"
"""How the studies begin that tuning keeps for its runs: no study file can have such a name."""

_NEWEST = sa.and_(attempts.c.run == runs.c.id, attempts.c.number == runs.c.attempt)


def states(tx: Tx, run_ids: Collection[str], *, code: Codes = None) -> dict[str, RunState]:
    """Where each run stands as seen with `code`; runs that the database does not know are absent."""
    columns = (runs.c.id, runs.c.run_id, runs.c.state, runs.c.attempt, runs.c.error, runs.c.kind, runs.c.code)
    found: dict[str, RunState] = {}
    rows = list(tx.among(sa.select(*columns), runs.c.run_id, run_ids))
    seen = look(tx, rows, code) if code is not None else {}
    for row in rows:
        view = seen.get(row.id, Seen(row.state, code=row.code))
        same = view.state == row.state
        found[row.run_id] = RunState(
            row.run_id,
            view.state,
            attempts=row.attempt,
            error=row.error if same else None,
            kind=row.kind if same else None,
            code=view.code,
            stale=view.freshness.stale,
            why_stale=view.freshness.why,
            code_known=view.freshness.known,
            verified=view.freshness.verified,
        )
    return found


# Studies --------------------------------------------------------------------------------------------------------------


def all_studies(
    tx: Tx,
    name: str | None = None,
    profile: str | None = None,
    sets: Sequence[str] | None = None,
    *,
    tunings: bool = False,
) -> tuple[StoredStudy, ...]:
    """Studies, the one run last first. `profile` None means any, '' the full scale; `sets` None any, () what is no
    variant. Those that tuning keeps only by their name, or, with `tunings`, only those."""
    statement = sa.select(studies).order_by(studies.c.last_run.desc(), studies.c.id.desc())
    return tuple(
        StoredStudy(
            row.id, row.name, row.profile or None, row.source, row.file, from_json(row.settings), row.last_run,
            sets_of(row.variant), row.text,
        )
        for row in tx.execute(statement.where(*meant(name, profile, sets, tunings=tunings)))
    )  # fmt: skip


def meant(
    name: str | None, profile: str | None, sets: Sequence[str] | None, *, tunings: bool = False
) -> Iterator[sa.ColumnElement[bool]]:
    """What a study must be to be meant by these, as `all_studies` takes them."""
    of_tuning = studies.c.name.like(f"{TUNING}%")
    yield (of_tuning if tunings else sa.not_(of_tuning)) if name is None else studies.c.name == name
    if profile is not None:
        yield studies.c.profile == profile
    if sets is not None:
        yield studies.c.variant == variant(sets)


def links(tx: Tx, run_ids: Collection[str]) -> dict[str, tuple[StudyLink, ...]]:
    """What each study as it is now calls each run: its arm, levels, aliases and position."""
    found: dict[str, list[StudyLink]] = defaultdict(list)
    statement = (
        sa.select(studies.c.name, studies.c.profile, studies.c.variant, study_runs, runs.c.run_id)
        .join(study_runs, study_runs.c.study == studies.c.id)
        .join(runs, runs.c.id == study_runs.c.run)
        .order_by(studies.c.name, studies.c.profile, studies.c.variant, study_runs.c.position)
    )
    for row in tx.among(statement, runs.c.run_id, run_ids):
        levels, aliases = from_json(row.levels), tuple(from_json(row.aliases))
        name, sets = (row.name, row.profile or None), sets_of(row.variant)
        link = StudyLink(*name, row.position, row.arm, levels, aliases, row.is_parent, sets)
        found[row.run_id].append(link)
    return {run_id: tuple(items) for run_id, items in found.items()}


def waiting(tx: Tx, request_key: int, barred: Collection[str] = ()) -> Counts:
    """The request's runs by state; queued ones are split into those to claim, those that wait, and blocked ones.

    `barred` are runs that cannot start on this machine: they are blocked, and so is what starts from them.
    """
    mine = sa.select(runs.c.state, request_runs.c.queued, sa.func.count()).join(request_runs)
    statement = mine.where(request_runs.c.request == request_key).group_by(runs.c.state, request_runs.c.queued)
    counts: dict[str, int] = defaultdict(int)
    for state, waits, count in tx.execute(statement):
        counts[state if waits or state not in UNDER_WAY else "retried"] += int(count)
    parent = runs.alias("parent")
    waits_for = sa.and_(request_runs.c.request == request_key, request_runs.c.queued == sa.true())
    queued = sa.and_(waits_for, runs.c.state == "queued")
    pending = (
        sa.select(runs.c.id)
        .join(request_runs, request_runs.c.run == runs.c.id)
        .outerjoin(parent, parent.c.run_id == runs.c.parent)
        .where(queued, runs.c.parent.is_not(None))
        .where(sa.or_(parent.c.state.is_(None), parent.c.state != "done"))
    )
    barred_keys = sa.select(runs.c.id).join(request_runs).where(queued, runs.c.run_id.in_(barred))
    blocked_keys = set(tx.connection.scalars(_blocked(barred)))
    not_now = set(tx.connection.scalars(pending)) | (set(tx.connection.scalars(barred_keys)) if barred else set())
    blocked = len(not_now & blocked_keys)
    free = counts.pop("queued", 0) - len(not_now)
    return Counts(queued=free, waiting=len(not_now) - blocked, blocked=blocked, **counts)


def _blocked(barred: Collection[str]) -> AnySelect:
    """Keys of queued runs that no chain of parents can ever free, as things stand; those in `barred` are the start of one."""
    child, parent = runs.alias("child"), runs.alias("parent")
    dead = sa.or_(parent.c.id.is_(None), parent.c.state.in_(("failed", "lost", "cancelled", "pruned")))
    stuck = sa.and_(child.c.parent.is_not(None), dead)
    start = (
        sa.select(child.c.id, child.c.run_id)
        .outerjoin(parent, parent.c.run_id == child.c.parent)
        .where(child.c.state == "queued", sa.or_(stuck, child.c.run_id.in_(barred)) if barred else stuck)
        .cte("blocked", recursive=True)
    )
    grandchild = runs.alias("grandchild")
    chain = start.union(
        sa.select(grandchild.c.id, grandchild.c.run_id)
        .join(start, grandchild.c.parent == start.c.run_id)
        .where(grandchild.c.state == "queued")
    )
    return sa.select(chain.c.id)


# Single runs ----------------------------------------------------------------------------------------------------------


def resolve(tx: Tx, prefix: str) -> str:
    """The one run_id that starts with `prefix`. NotFound lists the candidates, or the nearest ids."""
    prefix = prefix.strip().lower()
    found = _starting_with(tx, prefix, 6) if prefix else []
    if len(found) == 1:
        return found[0]
    if found:
        shown = ", ".join(run_id[: max(SHORT, len(prefix) + 2)] for run_id in found[:5])
        more = " and more" if len(found) > 5 else ""
        raise NotFound(
            f"several runs start with {prefix!r}: {shown}{more}. Give more of its digits.", code="ambiguous-run"
        )
    near: list[str] = []
    shorter = prefix[:64]
    while shorter and not near:
        shorter = shorter[:-1]
        near = _starting_with(tx, shorter, 3) if shorter else []
    hint = f"Nearest: {', '.join(run_id[:SHORT] for run_id in near)}." if near else "`ablate runs list` shows them."
    raise NotFound(f"no run starts with {prefix!r}. {hint}", code="unknown-run")


def _starting_with(tx: Tx, prefix: str, limit: int) -> list[str]:
    found = sa.select(runs.c.run_id).where(_starts_with(prefix)).order_by(runs.c.run_id).limit(limit)
    return list(tx.connection.scalars(found))


def _starts_with(prefix: str) -> sa.ColumnElement[bool]:
    # A range, not LIKE: it uses the index, and no character of the prefix has a meaning of its own.
    return sa.and_(runs.c.run_id >= prefix, runs.c.run_id < prefix + "\U0010ffff")


def run_ids(
    tx: Tx,
    study: str | None,
    profile: str | None,
    sets: Sequence[str] | None,
    wanted: Sequence[str] | None,
    limit: int | None,
) -> list[str]:
    """Ids of runs: a study's in its own order, else the newest first. NotFound for a study that is not there."""
    statement = sa.select(runs.c.run_id)
    if study is not None or profile is not None or sets is not None:
        known = all_studies(tx, study, profile, sets)
        if not known:
            names = ", ".join(sorted({item.name for item in all_studies(tx)})) or "none"
            what = study if study is not None else f"with profile {profile}"
            what += f" [{', '.join(sets)}]" if sets else ""
            raise NotFound(f"the database has no study {what}. It has: {names}.", code="unknown-study")
        keys = [item.key for item in known]
        place = (
            sa.select(study_runs.c.run, sa.func.min(study_runs.c.position).label("position"))
            .where(study_runs.c.study.in_(keys))
            .group_by(study_runs.c.run)
            .subquery()
        )
        statement = statement.join(place, place.c.run == runs.c.id).order_by(place.c.position, runs.c.id)
    else:
        statement = statement.order_by(runs.c.id.desc())
    if wanted is not None:
        unknown = sorted(set(wanted) - set(STATES))
        if unknown:
            raise NotFound(f"unknown state {unknown[0]!r}. The states: {', '.join(STATES)}.")
        statement = statement.where(runs.c.state.in_(wanted))
    return list(tx.connection.scalars(statement if limit is None else statement.limit(limit)))


def timings(tx: Tx) -> list[Timing]:
    """Wall times of done runs, newest first, for estimates. Epochs are those that the timed attempt itself trained."""
    statement = (
        sa.select(runs.c.run_id, runs.c.arm, attempts)
        .join(attempts, _NEWEST)
        .where(runs.c.state == "done", attempts.c.seconds > 0)
        .order_by(attempts.c.ended.desc())
    )
    rows = tx.execute(statement).all()
    told = tx.among(sa.select(arms.c.id, arms.c.recipe, arms.c.trainer), arms.c.id, {row.arm for row in rows})
    recipes = {key: recipe_of(from_json(text)) if trainer is None else None for key, text, trainer in told}
    found = (_timing(row, recipes[row.arm]) for row in rows)
    return [timing for timing in found if timing is not None]


def _timing(row: AnyRow, recipe: AnyRecipe | None) -> Timing | None:
    """`recipe` is None for another trainer's run: what its settings mean is not known, so it counts as one epoch."""
    if recipe is None:
        return Timing(row.run_id, None, 1, row.seconds)
    epochs = recipe.get("epochs")
    if row.last_epoch is not None:
        epochs = row.last_epoch if row.number == 1 else row.last_epoch - row.first_epoch + 1
    if not isinstance(epochs, int) or epochs < 1:
        return None
    return Timing(row.run_id, shape_of(recipe), epochs, row.seconds)


def history(tx: Tx, run_id: str | None = None, limit: int = 100) -> tuple[Event, ...]:
    """The newest events first, of one run or of all."""
    statement = (
        sa.select(events, studies.c.name.label("study_name"), runs.c.run_id)
        .outerjoin(studies, studies.c.id == events.c.study)
        .outerjoin(runs, runs.c.id == events.c.run)
        .order_by(events.c.id.desc())
        .limit(limit)
    )
    if run_id is not None:
        statement = statement.where(runs.c.run_id == run_id)
    rows = tx.execute(statement)
    return tuple(Event(row.at, row.kind, row.detail, row.study_name, row.run_id, row.attempt) for row in rows)


# Names to complete a command line with -------------------------------------------------------------------------------


def run_names(tx: Tx, prefix: str, limit: int) -> list[tuple[str, str, int, str]]:
    """Id, arm, seed and state of runs whose ids start with `prefix`, the newest first; the arm is empty for a parent."""
    newest = sa.select(runs.c.id).where(_starts_with(prefix)).order_by(runs.c.id.desc()).limit(limit)
    chosen = list(tx.connection.scalars(newest))
    named = sa.select(study_runs.c.run, study_runs.c.arm).where(study_runs.c.run.in_(chosen), ~study_runs.c.is_parent)
    named_arms = {row.run: row.arm for row in tx.execute(named)}
    rows = tx.execute(sa.select(runs).where(runs.c.id.in_(chosen)).order_by(runs.c.id.desc()))
    return [(row.run_id, named_arms.get(row.id, ""), row.seed, row.state) for row in rows]


def arm_names(tx: Tx, study: str | None, limit: int) -> list[str]:
    """The names of arms, with those of arms that are the same run as another, of one study or of all."""
    statement = sa.select(study_runs.c.arm, study_runs.c.aliases).where(~study_runs.c.is_parent).distinct().limit(limit)
    if study is not None:
        statement = statement.join(studies, studies.c.id == study_runs.c.study).where(studies.c.name == study)
    found = [[row.arm, *from_json(row.aliases)] for row in tx.execute(statement)]
    return list(dict.fromkeys(name for names in found for name in names))
