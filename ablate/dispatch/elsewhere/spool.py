"""A queue through a shared folder, for a cluster without PostgreSQL: many hosts, one results database on one of them.

A worker writes what it would ask of the store as JSON lines into a mailbox of its own; one coordinator, on the host with
the SQLite file, asks the store and writes the answers back. SQLite itself never leaves its local disk.

    FOLDER/coordinator.json             who answers: one process
    FOLDER/boxes/<worker>/asked.jsonl   one line a question, numbered; only the worker writes it
    FOLDER/boxes/<worker>/answers.jsonl one line an answer; only the coordinator writes it

Each file has one writer who only appends, and readers take whole lines and open the file anew each time: that much every
network file system keeps. Only a mailbox's newest question is answered. A worker that gave up waiting asks again, and
whatever the store is told twice by one attempt it takes once; so a coordinator may end and start again at any moment.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ablate.dispatch.contract.failures import explain
from ablate.dispatch.contract.queue import Queue
from ablate.dispatch.processes import wire
from ablate.errors import AblateError, DatabaseGone, LeaseLost, NoSpaceOrPermission, StoreError, UsageError
from ablate.store.host import WorkerInfo, is_dead
from ablate.store.values import Claim, Counts
from ablate.study.records import EpochRecord, Outcome
from ablate.study.values.run import Run

PATIENCE = 30.0
"""Seconds that a question waits for its answer before it counts as a store that is away."""
POLL = 0.5
"""Seconds between two looks into the folder, at most."""

_ERRORS: dict[str, type[AblateError]] = {
    kind.__name__: kind for kind in (LeaseLost, DatabaseGone, StoreError, NoSpaceOrPermission, UsageError)
}


class SpoolQueue:
    """The worker's side: a `Queue` whose store is answered for by a coordinator. Belongs to one thread.

    Raises StoreError where no answer comes within `patience` seconds, and what the store raised for the coordinator.
    """

    def __init__(
        self,
        folder: Path,
        *,
        patience: float = PATIENCE,
        poll: float = POLL,
        wait: Callable[[float], Any] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = folder
        self._box = folder / "boxes" / secrets.token_hex(8)
        self._patience, self._poll, self._wait, self._clock = patience, poll, wait, clock
        self._asked = 0
        self._answers = Lines(self._box / "answers.jsonl")
        with _writing(self._box):
            self._box.mkdir(parents=True)

    def claim(self, request_key: int, worker: WorkerInfo, ttl: float) -> Claim | None:
        found = self._ask("claim", request_key=request_key, worker=asdict(worker), ttl=ttl)
        return None if found is None else _claim(found)

    def heartbeat(self, claim: Claim, ttl: float) -> None:
        self._ask("heartbeat", claim=_brief(claim), ttl=ttl)

    def release(self, claim: Claim, reason: str) -> None:
        self._ask("release", claim=_brief(claim), reason=reason)

    def record_epoch(self, claim: Claim, records: Sequence[EpochRecord]) -> None:
        self._ask("record_epoch", claim=_brief(claim), records=wire.pack_records(records))

    def finish(self, claim: Claim, outcome: Outcome, seconds: float) -> None:
        self._ask("finish", claim=_brief(claim), outcome=wire.pack_outcome(outcome), seconds=seconds)

    def fail(self, claim: Claim, error: str, kind: str) -> None:
        self._ask("fail", claim=_brief(claim), error=error, kind=kind)

    def prune(self, claim: Claim, reason: str) -> None:
        self._ask("prune", claim=_brief(claim), reason=reason)

    def lose(self, claim: Claim, reason: str) -> None:
        self._ask("lose", claim=_brief(claim), reason=reason)

    def set_environment(
        self, claim: Claim, environment: Mapping[str, Any], fingerprint: str | None, device: str
    ) -> None:
        said = {"environment": dict(environment), "fingerprint": fingerprint, "device": device}
        self._ask("set_environment", claim=_brief(claim), **said)

    def waiting(self, request_key: int) -> Counts:
        return Counts(**self._ask("waiting", request_key=request_key))

    def close(self) -> None:
        """Nothing more will be asked: the coordinator takes the mailbox away."""
        with contextlib.suppress(AblateError):
            self._write("close")

    def _ask(self, what: str, **content: object) -> Any:
        self._write(what, **content)
        until, pause = self._clock() + self._patience, self._poll / 32
        while True:
            for answer in self._answers.new():
                if answer["n"] == self._asked:
                    return _opened(answer)
            if self._clock() >= until:
                raise StoreError(
                    f"no answer through {self._folder} for {self._patience:g} s: is the `ablate grid run` that "
                    "coordinates it still running, and does this host see the same folder?"
                )
            self._wait(pause)
            pause = min(self._poll, 2 * pause)

    def _write(self, what: str, **content: object) -> None:
        self._asked += 1
        _append(self._box / "asked.jsonl", {"n": self._asked, "do": what, **content})


class Coordinator:
    """Answers the questions of a folder's mailboxes from the store. One at a time for a folder: `with` holds the place.

    Entering raises UsageError while another living coordinator serves the folder.
    """

    def __init__(self, folder: Path, store: Queue) -> None:
        self._folder, self._store = folder, store
        self._boxes = folder / "boxes"
        self._mine = folder / "coordinator.json"
        self._read: dict[str, Lines] = {}
        self._answered: dict[str, int] = {}

    def __enter__(self) -> Coordinator:
        with _writing(self._folder):
            self._boxes.mkdir(parents=True, exist_ok=True)
            for _ in range(2):  # again, where the place was a dead coordinator's
                try:
                    descriptor = os.open(self._mine, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
                except FileExistsError:
                    self._end_dead()
                    continue
                with os.fdopen(descriptor, "wb") as stream:
                    stream.write(wire.encode(asdict(WorkerInfo.here())))
                return self
        raise UsageError(f"{self._mine} was just written by another coordinator; start again.")

    def __exit__(self, *_: object) -> None:
        self._mine.unlink(missing_ok=True)

    def serve(self, over: Callable[[float], bool], poll: float = POLL) -> None:
        """Answer until `over(seconds)`, which sleeps for so long at most, says so; then answer once more."""
        while not over(poll):
            self.serve_once()
        self.serve_once()

    def serve_once(self) -> int:
        """Answer what is asked at this moment; how many questions that was."""
        count = 0
        for box in sorted(self._boxes.iterdir()):
            with contextlib.suppress(NoSpaceOrPermission, StoreError):  # its worker asks again; others are served
                count += self._serve(box)
        return count

    def _serve(self, box: Path) -> int:
        question = self._newest(box)
        if question is None:
            return 0
        if question.get("do") == "close":
            shutil.rmtree(box, ignore_errors=True)
            self._read.pop(box.name, None)
            return 1
        _append(box / "answers.jsonl", {"n": question["n"], **self._answer(question)})
        self._answered[box.name] = question["n"]
        return 1

    def _newest(self, box: Path) -> dict[str, Any] | None:
        if box.name not in self._read:
            self._read[box.name] = Lines(box / "asked.jsonl")
            earlier = Lines(box / "answers.jsonl").new()
            self._answered[box.name] = earlier[-1]["n"] if earlier else 0
        reader = self._read[box.name]
        questions = reader.new()
        if not questions or questions[-1]["n"] <= self._answered[box.name]:
            return None
        return questions[-1]

    def _answer(self, question: dict[str, Any]) -> dict[str, Any]:
        try:
            return {"is": "answer", "answer": self._do(**question)}
        except AblateError as error:
            kind = next((name for name, known in _ERRORS.items() if isinstance(error, known)), "StoreError")
            return {"is": "error", "kind": kind, "message": str(error)}
        except Exception as error:
            return {"is": "error", "kind": "StoreError", "message": f"the coordinator broke: {explain(error)}"}

    def _do(self, n: int, do: str = "", **content: Any) -> Any:
        if do == "claim":
            found = self._store.claim(content["request_key"], WorkerInfo(**content["worker"]), content["ttl"])
            return None if found is None else asdict(found)
        if do == "waiting":
            counts = self._store.waiting(content["request_key"])
            return {name: getattr(counts, name) for name in ("queued", "waiting", "blocked", "running", "failed")}
        claim = _claim(content.pop("claim"))
        if do == "record_epoch":
            return self._store.record_epoch(claim, wire.unpack_records(content["records"]))
        if do == "finish":
            return self._store.finish(claim, wire.unpack_outcome(content["outcome"]), content["seconds"])
        if do in ("heartbeat", "release", "fail", "lose", "prune", "set_environment"):
            return getattr(self._store, do)(claim, **content)
        raise StoreError(f"unknown request {do!r}: the worker has another version of ablate")

    def _end_dead(self) -> None:
        """Take away what a coordinator that is certainly gone has left."""
        try:
            who = json.loads(self._mine.read_text(encoding="utf-8"))
            gone = is_dead(who["host"], who["boot"], who["pid"], who["started"])
            name = f"process {who['pid']} on {who['host']}"
        except FileNotFoundError:
            return
        except (ValueError, KeyError, TypeError):
            gone, name = False, "an unknown process"
        if not gone:
            raise UsageError(
                f"{self._folder} is already served by {name}. Wait for it, use another folder, or, if it is certainly "
                f"gone, remove {self._mine}."
            )
        self._mine.unlink(missing_ok=True)


class Lines:
    """The JSON lines of a file that another process appends to, each read once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def new(self) -> list[dict[str, Any]]:
        """Whole lines written since the last look; none where there is no file yet.

        What is no JSON is half a line of a writer that was cut off: nobody was told that it arrived. Raises StoreError.
        """
        try:
            with self._path.open("rb") as stream:
                stream.seek(self._offset)
                data = stream.read()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StoreError(f"can't read {self._path}: {error}") from error
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        return [document for line in whole.split(b"\n") if (document := _read(line)) is not None]


def _read(line: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(line)
    except ValueError:
        return None
    return document if isinstance(document, dict) and isinstance(document.get("n"), int) else None


def _append(path: Path, document: Mapping[str, Any]) -> None:
    """One line at the end, on the disk before this returns. Raises NoSpaceOrPermission."""
    with _writing(path):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            line = memoryview(b"\n" + wire.encode(document))  # apart from the half line that a full disk may have left
            while line:
                line = line[os.write(descriptor, line) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    """NoSpaceOrPermission in the place of whatever keeps `path` from being written."""
    try:
        yield
    except OSError as error:
        raise NoSpaceOrPermission(
            f"can't write to {path}: {error}. Free some space or grant access, then start again."
        ) from error


def _opened(answer: Mapping[str, Any]) -> Any:
    if answer["is"] == "answer":
        return answer["answer"]
    raise _ERRORS.get(answer["kind"], StoreError)(answer["message"])


def _brief(claim: Claim) -> dict[str, Any]:
    """What a fence needs of a claim; the recipe stays at home."""
    run = {"run_id": claim.run.run_id, "arm_id": claim.run.arm_id, "seed": claim.run.seed, "recipe": {}}
    return {
        "run": run,
        "attempt": claim.attempt,
        "worker": claim.worker,
        "request_key": claim.request_key,
        "ttl": claim.ttl,
    }


def _claim(packed: Mapping[str, Any]) -> Claim:
    return Claim(**{**packed, "run": Run(**packed["run"])})
