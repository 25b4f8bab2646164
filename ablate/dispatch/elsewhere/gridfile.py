"""What workers on other hosts must know of a grid, as one JSON file in a folder that all hosts share.

    HOME/grids/<id>/grid.json           the request: its key in the store, trainer, options, lease times
    HOME/grids/<id>/endings/<name>.json how the worker of that name left, for the command that started it
    HOME/grids/<id>/jobs/               what the engine writes: logs
    HOME/grids/<id>/more                there as long as more runs may come: a study that grows while it is worked on

No secret is written: a database URL with a password reaches workers by their environment, as ABLATE_DB.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ablate.dispatch.contract.events import GridReport
from ablate.dispatch.contract.executor import GridRequest
from ablate.dispatch.contract.failures import redact
from ablate.dispatch.elsewhere.queues import SPOOL
from ablate.dispatch.worker.folders import sources_here, working_folder
from ablate.errors import (
    AblateError,
    NoSpaceOrPermission,
    NotFound,
    RunFailure,
    StoreError,
    UsageError,
)
from ablate.store.location import locate
from ablate.study.assign.foreign_trainer import BUILT_IN
from ablate.study.recipes import places
from ablate.study.recipes.digest import canonical_json
from ablate.study.values.recipe import recipe_of
from ablate.study.values.resources import Resources
from ablate.study.values.run import Run

SCHEMA = 2
"""2: `request`, the key of what was asked for, in the place of `study_key`."""
PROMISE = 120.0
"""Seconds that a promise of more runs holds; longer than a network file system shows an old file."""
_COPIED = ("fit", "threads", "device", "options", "fail_fast", "ttl", "poll", "grace", "run_timeout")
_ERRORS: Mapping[int, type[AblateError]] = {
    kind.exit_code: kind for kind in (UsageError, RunFailure, NotFound, StoreError, NoSpaceOrPermission)
}


@dataclass(frozen=True)
class Ending:
    """How a worker left: its exit code, and what kept it from going on."""

    exit_code: int
    errors: tuple[str, ...] = ()

    @property
    def error(self) -> AblateError | None:
        """The first error as an exception of the class that its exit code means."""
        return _ERRORS.get(self.exit_code, AblateError)(self.errors[0]) if self.errors else None


def portable(url: str) -> str | None:
    """A database URL that may be written down and read in another folder: None where it holds a password."""
    try:
        location = locate(url)
    except StoreError:  # another queue's URL
        return None if "@" in url else url
    if location.path is not None:
        return f"sqlite:///{location.path}"
    return None if location.secrets else url


def is_sqlite(url: str) -> bool:
    """Whether it names a SQLite file: not a server, nor another queue's URL."""
    try:
        return locate(url).path is not None
    except StoreError:
        return False


def write(request: GridRequest, *, failed_before: int = 0) -> Path:
    """Write a new grid file and return its path. Raises NoSpaceOrPermission."""
    name = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
    folder = (request.home / "grids" / name).resolve()
    document = {
        "schema": SCHEMA,
        "request": request.request_key,
        **{key: getattr(request, key) for key in _COPIED},
        "home": str(request.home.resolve()),
        "database": f"{SPOOL}{folder / 'spool'}" if request.spool else portable(request.database),
        "environment": dict(request.environment),
        "failed_before": failed_before,
        "barred": sorted(request.barred),
        "resources": request.resources.json,
        **scripts_of(request),
    }
    try:
        folder.mkdir(parents=True, mode=0o700)
        for inner in ("endings", "jobs"):
            (folder / inner).mkdir()
        path = folder / "grid.json"
        path.write_text(json.dumps(document, indent=1), encoding="utf-8")
    except OSError as error:
        raise NoSpaceOrPermission(f"the grid file cannot be written to {folder}: {error.strerror}") from None
    return path


def scripts_of(request: GridRequest) -> dict[str, Any]:
    """What a worker needs to tell whether it has the request's scripts: their digest, and what is run with which seeds."""
    if request.fit == BUILT_IN or request.code is None:
        return {}
    seeds: dict[str, list[int]] = {}
    for run in request.runs:
        seeds.setdefault(canonical_json(run.trainer), []).append(run.seed)
    return {"code": request.code, "scripts": [[json.loads(trainer), own] for trainer, own in seeds.items()]}


def place_for(document: Mapping[str, Any]) -> str:
    """The folder that a worker here trains in. Raises NotFound where neither the request's nor the current one has its scripts."""
    options = document["options"]
    if "scripts" not in document:
        return str(options.get("study_dir") or "")
    runs = [
        Run(f"{place}-{seed}", "", seed, recipe_of({}, trainer), trainer)
        for place, (trainer, seeds) in enumerate(document["scripts"])
        for seed in seeds
    ]
    return str(working_folder(runs, options.get("watch", ()), document["code"], options["study_dir"]))


def read(path: Path) -> dict[str, Any]:
    """The document of a grid file. Raises NotFound, UsageError."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise NotFound(
            f"the grid file {path} cannot be read here ({error.strerror}); ABLATE_HOME must be a folder that all hosts share."
        ) from None
    except ValueError:
        raise UsageError(f"{path} is not a grid file: it is not JSON.") from None
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise UsageError(
            f"{path} is a grid file of another version of ablate (schema {SCHEMA} is needed). Start the grid again with `ablate grid run`."
        )
    return document


def request_from(path: Path, document: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a `GridRequest` that the file fixes. `database` comes from ABLATE_DB where the file has none.

    Raises UsageError where neither names a database, NotFound where the scripts of the request are not here.
    """
    database = document["database"] or places.variable(places.DATABASE)
    if not database:
        raise UsageError(
            f"ABLATE_DB is not set on this host, and {path} names no database because its URL holds a password. "
            "Set ABLATE_DB in the environment of workers."
        )
    fields = {key: document[key] for key in (*_COPIED, "environment")}
    if sources := fields["options"].get("sources"):
        here = sources_here(sources, fields["options"]["study_dir"], Path(document["home"]))
        fields["options"] = {**fields["options"], "sources": here}
    elif folder := place_for(document):
        fields["options"] = {**fields["options"], "study_dir": folder}
    return {
        **fields, "request_key": document["request"], "home": Path(document["home"]), "database": database,
        "resources": Resources.of(document.get("resources", {})),
    }  # fmt: skip


def write_ending(path: Path, name: str, code: int, report: GridReport | AblateError) -> None:
    """Note how a worker left. A full disk does not keep it from leaving."""
    errors = [report] if isinstance(report, AblateError) else report.errors
    document = {"exit_code": code, "errors": [redact(str(error)) for error in errors]}
    target = path.parent / "endings" / f"{name}.json"
    try:
        scratch = target.with_suffix(".tmp")
        scratch.write_text(json.dumps(document), encoding="utf-8")
        scratch.replace(target)
    except OSError:
        pass


def forget_ending(path: Path, name: str) -> None:
    """A worker of this name starts, or starts again."""
    (path.parent / "endings" / f"{name}.json").unlink(missing_ok=True)


def ending(path: Path, name: str) -> Ending | None:
    """How the worker of that name left; None while it has not said so."""
    try:
        document = json.loads((path.parent / "endings" / f"{name}.json").read_text(encoding="utf-8"))
        return Ending(int(document["exit_code"]), tuple(map(str, document["errors"])))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def promise(path: Path, more: bool) -> None:
    """Say to the workers of a grid that more runs may come, which has to be said again within PROMISE, or that none will.

    Where a disk is full, workers leave too early, and the next round starts others.
    """
    said = path.parent / "more"
    with contextlib.suppress(OSError):
        if more:
            said.write_text(secrets.token_hex(8), encoding="utf-8")
        else:
            said.unlink(missing_ok=True)


class Promise:
    """The worker's side of `promise`. Hosts' clocks may differ, so it is fresh as long as what it says changes."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path, self._clock = path.parent / "more", clock
        self._said, self._since = "", clock()

    def holds(self) -> bool:
        try:
            said = self._path.read_text(encoding="utf-8")
        except OSError:
            return False
        if said != self._said:
            self._said, self._since = said, self._clock()
        return self._clock() - self._since < PROMISE
