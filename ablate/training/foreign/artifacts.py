"""Files that a script leaves and its study's `artifacts` name: recorded with size and SHA-256 when a run is done."""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ablate.study.assign.command_words import expand
from ablate.study.records import Artifact, Context, Outcome
from ablate.study.values.run import Run
from ablate.training.foreign.about import own_folder

KIND = "file"
LARGEST = 2 << 30
"""Bytes of a file that is hashed; a larger one is recorded by its size alone."""
MOST = 1000
"""Files that are recorded a run."""
NOTES = "artifact_notes"
"""Where `Outcome.details` says what was not recorded, or not whole."""
_PIECE = 8 << 20


def recorded(outcome: Outcome, run: Run, context: Context) -> Outcome:
    """The outcome with the files that the globs fit. Paths are relative to the run folder. What cannot be recorded is told in
    `details`, and fails no run; a stop signal leaves out what is not hashed yet."""
    folder = own_folder(run, context)
    found: dict[Path, None] = {}
    notes: list[str] = []
    for text in context.options.get("artifacts") or ():
        (pattern,) = expand([str(text)], run.seed, glob.escape(str(folder)))
        files = [path for path in map(Path, sorted(glob.glob(pattern, recursive=True))) if path.is_file()]
        found |= dict.fromkeys(files)
        if not files:
            notes.append(f"{text} fits no file")
    artifacts = []
    for path in list(found)[:MOST]:
        name = path.relative_to(context.run_dir.absolute()).as_posix()
        try:
            size = path.stat().st_size
            digest = "" if size > LARGEST else _digest(path, context.should_stop)
        except OSError as error:
            notes.append(f"{name} cannot be read: {error.strerror}")
            continue
        artifacts.append(Artifact(KIND, name, size, digest))
        if not digest:
            why = f"it has {size:,} bytes, more than {LARGEST:,}" if size > LARGEST else "the run was asked to stop"
            notes.append(f"{name} is recorded by its size alone: {why}")
    if len(found) > MOST:
        notes.append(f"{len(found) - MOST:,} files more than {MOST:,} are left out")
    details = {**outcome.details, **({NOTES: notes} if notes else {})}
    return replace(outcome, artifacts=(*outcome.artifacts, *artifacts), details=details)


def _digest(path: Path, should_stop: Callable[[], int]) -> str:
    """64 hex digits; empty after a stop signal."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(_PIECE):
            if should_stop():
                return ""
            digest.update(piece)
    return digest.hexdigest()
