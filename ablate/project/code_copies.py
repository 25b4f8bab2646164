"""Copies of code in ABLATE_HOME: which of them an open run needs, and what of the others can go.

A snapshot is needed by the requests that wait for a run, and by a run that was cut off and goes on with it. Of what no request of
this database names, another database's run may be in need.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ablate.dispatch.contract.executor import run_folder
from ablate.store.store import Store
from ablate.store.values import StoredRequest
from ablate.study.code.snapshot import CODE, LEFT, MANIFEST, SOURCES, read_manifest, strangers
from ablate.training.foreign.place import FIRST

_ENDED = ("done", "pruned")


@dataclass(frozen=True)
class CodeCopy:
    """A folder with a copy: `size` in bytes of what can go, `left` in bytes of what scripts wrote into it, which stays.

    `known`: a request of this database names it. `run_id` is that of a run whose own copy it is. `asked` is when a request last
    asked for it, in POSIX seconds.
    """

    folder: Path
    size: int
    left: int
    known: bool = True
    run_id: str | None = None
    asked: float = 0.0


def shared_copies(home: Path, store: Store | None) -> Iterator[CodeCopy]:
    """The snapshots that nothing of this database needs."""
    requests = _requests(store) if store else []
    known = {folder for request in requests for folder in _folders(request.call_options.get("sources"))}
    needed = {
        folder for request in requests if request.open for folder in _folders(request.call_options.get("sources"))
    }
    if store is not None:
        needed |= _cut_off(home, store)
    place = home / SOURCES
    for folder in sorted(place.iterdir()) if place.is_dir() and not place.is_symlink() else ():
        if str(folder) not in needed and (found := _measured(folder)) is not None:
            yield CodeCopy(folder, *found, known=str(folder) in known, asked=_asked(folder))


def own_copies(run_dir: Path, run_id: str, state: str) -> Iterator[CodeCopy]:
    """The copies of a run's own, once it has ended."""
    for folder in sorted(run_dir.glob("source-*")) if state in _ENDED else ():
        if (found := _measured(folder)) is not None:
            yield CodeCopy(folder, *found, run_id=run_id)


def is_own_copy(name: str) -> bool:
    """Whether a run's folder has this entry for its code: a copy, or the note of which it uses."""
    return name == FIRST or name.startswith("source-")


def _requests(store: Store) -> list[StoredRequest]:
    named = {record.name for record in store.tunings()}
    return [*store.requests(), *(request for name in sorted(named) for request in store.requests(name))]


def _folders(sources: object) -> list[str]:
    given = sources.values() if isinstance(sources, Mapping) else ()
    return [str(one["folder"]) for one in given if isinstance(one, Mapping) and "folder" in one]


def _cut_off(home: Path, store: Store) -> set[str]:
    """The snapshots of runs that go on with what an earlier attempt used."""
    found: set[str] = set()
    for item in store.list_runs(states=("queued", "running")):
        try:
            note: dict[str, Any] = json.loads((run_folder(home, item.run.run_id) / FIRST).read_text(encoding="utf-8"))
            found.add(str(note["folder"]))
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return found


def _measured(folder: Path) -> tuple[int, int] | None:
    """(what can go, what stays) in bytes; None for what is no copy, nor the rest of one."""
    if folder.is_symlink() or not folder.is_dir():
        return None
    if LEFT in folder.name:
        return 0, sum(_size(path) for path in folder.rglob("*") if path.is_file())
    if not (folder / MANIFEST).is_file():
        return None
    try:
        written, known = strangers(folder), read_manifest(folder)["files"]
        stays = sum(_size(folder / CODE / name) for name in written)
        goes = sum(_size(folder / CODE / name) for name in known if name not in written)
        return _size(folder / MANIFEST) + goes, stays
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _asked(folder: Path) -> float:
    try:
        return (folder / MANIFEST).stat().st_mtime
    except OSError:
        return 0.0


def _size(path: Path) -> int:
    try:
        return path.lstat().st_blocks * 512
    except OSError:
        return 0
