"""Where a run's command starts: in the study's folder, in the snapshot of it that its request made, or in a copy of the run's own."""

from __future__ import annotations

import json
import posixpath
import sys
from collections.abc import Mapping
from pathlib import Path

from ablate.errors import NotFound, RunFailure
from ablate.study.assign.command_words import expand
from ablate.study.code.replaced import WrongCount, replaced
from ablate.study.code.snapshot import CODE, Snapshot, own_copy, read_snapshot, take
from ablate.study.recipes.digest import SHORT
from ablate.study.records import Context
from ablate.study.values.run import Run

FIRST = "source.json"
"""In a run's folder: the snapshot of an attempt that was cut off, which the next one goes on with."""


def study_folder(context: Context) -> Path:
    """The folder of the study file, where commands run and modules are looked for first."""
    return Path(context.options.get("study_dir") or ".").absolute()


def code_folder(run: Run, context: Context) -> Path:
    """The study's folder as the run sees it: its own, or what that is in the run's snapshot. Raises NotFound."""
    snapshot = snapshot_of(run, context)
    return snapshot.place if snapshot else study_folder(context)


def snapshot_of(run: Run, context: Context) -> Snapshot | None:
    """The snapshot that the run uses; None for one that runs in the study's folder. The first call of an attempt notes it."""
    trainer = run.trainer or {}
    commit = str(trainer.get("commit") or "")
    given = (context.options.get("sources") or {}).get(commit)
    if commit and given is None:  # one that the request could not know of, as in a tuning
        return take(study_folder(context), Path(str(context.options["home"])), commit)
    if given is None:
        return None
    asked = read_snapshot(given)
    first = asked if commit else _first(context.run_dir / FIRST, asked)
    if not first.whole:
        raise NotFound(
            f"the snapshot {first.folder} of the run's code is gone; request the run again: ablate grid run."
        )
    return first


def working_folder(run: Run, context: Context, run_dir: Path) -> Path:
    """Where the command starts. A run with texts to replace has a copy of its own, made by its first attempt.

    Raises NotFound, NoSpaceOrPermission, and RunFailure for a text that does not stand exactly once in its file.
    """
    snapshot = snapshot_of(run, context)
    texts: Mapping[str, Mapping[str, str]] = (run.trainer or {}).get("replace") or {}
    if snapshot is None or not texts:
        return snapshot.place if snapshot else study_folder(context)
    instead: dict[str, bytes] = {}
    for file, changes in texts.items():
        name = posixpath.normpath(posixpath.join(snapshot.inner, file))
        filled = dict(zip(changes, expand(changes.values(), run.seed, str(run_dir)), strict=True))
        try:
            instead[name] = replaced((snapshot.folder / CODE / name).read_bytes(), filled)
        except WrongCount as error:
            raise RunFailure(f"{file}: {error.text!r} {error}") from None
        except OSError as error:
            raise NotFound(f"{file}, in which a text is to be replaced, cannot be read: {error.strerror}") from None
    return own_copy(snapshot, own_source(context, snapshot), instead)


def own_source(context: Context, snapshot: Snapshot) -> Path:
    """Where the run's own copy of a snapshot lies, if it has texts to replace."""
    return context.run_dir.absolute() / f"source-{snapshot.folder.name[:SHORT]}"


def ended(context: Context) -> None:
    """The attempt ended by itself: the next one, if there is one, begins with the code of its request."""
    (context.run_dir / FIRST).unlink(missing_ok=True)


def _first(note: Path, asked: Snapshot) -> Snapshot:
    """The snapshot that is noted where it is still there; else the request's, noted."""
    try:
        first = read_snapshot(json.loads(note.read_text(encoding="utf-8")))
        if first.whole:
            return first
        print(f"ablate: the snapshot {first.folder}, which an earlier attempt used, is gone", file=sys.stderr)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass  # a first attempt, or one that was cut off as it wrote this
    note.parent.mkdir(parents=True, exist_ok=True)
    part = note.with_suffix(".part")
    part.write_text(json.dumps(asked.document()), encoding="utf-8")
    part.replace(note)
    return asked
