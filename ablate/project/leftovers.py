"""What ABLATE_HOME holds and which of it is no longer needed; `ablate clean` frees that.

Nothing is followed out of ABLATE_HOME: symbolic links are left alone, whatever they point at. Several databases may share
one ABLATE_HOME, so a run's folder that this database does not know is counted apart. A folder that nothing shows to be an
ABLATE_HOME is only read.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ablate.errors import AblateError, UsageError
from ablate.project.code_copies import CodeCopy, is_own_copy, own_copies, shared_copies
from ablate.project.disk import entries, newest, open_files, size_of
from ablate.store.store import Store
from ablate.study.code.snapshot import MANIFEST, SOURCES, remove
from ablate.study.recipes.places import MARKER, default_home
from ablate.study.recipes.recipe import start_of
from ablate.study.records import RunResult
from ablate.study.values.recipe import AnyRecipe
from ablate.study.values.run import Run

KINDS = {
    "checkpoints": "checkpoints of done runs and pruned trials",
    "weights": "weights that no study keeps and no run starts from",
    "decoded": "decoded data, not used recently",
    "sources": "copies of code that no open run uses",
    "leftovers": "temporary files of killed processes",
    "unknown": "runs that are not in this database",
}
DAY = 86400.0
_RUN = re.compile(r"[0-9a-f]{64}")
_WEIGHTS = re.compile(r"model-(last|selected)\.(pt|json)")
_OURS = re.compile(r"attempt-\d+\.log|epochs-code-[0-9a-f]+\.jsonl|checkpoint-.*\.pt|model-(last|selected)\.(pt|json)")
_CACHED = frozenset({"images.u8", "labels.npy", "ids.npy", "sums.npy", "meta.json", "outputs.pt"})
_FINISHED = ("done", "pruned")
"""The states of a run that nothing goes on from by itself."""
_HALF_WRITTEN = re.compile(r"\.ablate-\d+\.tmp|.*\.part|.*\.unfinished")


@dataclass(frozen=True)
class Item:
    """One file or folder that can go. `kind` is one of `KINDS`; `size` in bytes of disk."""

    kind: str
    path: Path
    size: int
    run_id: str | None = None


@dataclass(frozen=True)
class Findings:
    """`sizes` are the bytes under each name at the top of ABLATE_HOME; `notes` say what was left alone and why.

    `scripts` are the bytes that scripts wrote into a run's folder. They stay: only the scripts' author knows whether they are
    needed. `ours`: whether the folder looks like an ABLATE_HOME.
    """

    home: Path
    items: tuple[Item, ...]
    sizes: Mapping[str, int]
    notes: tuple[str, ...]
    scripts: Mapping[Path, int]
    ours: bool


def is_ours(home: Path) -> bool:
    """Whether the folder looks like an ABLATE_HOME: marked as one, in the default place, or with run folders in it."""
    with contextlib.suppress(UsageError):  # there is no default place for a user without a home folder
        if home.resolve() == default_home().resolve():
            return True
    return (home / MARKER).is_file() or any(_run_folders(home))


def _run_folders(home: Path) -> Iterator[os.DirEntry[str]]:
    for pair in entries(home / "runs"):
        for entry in entries(Path(pair.path)):
            if _RUN.fullmatch(entry.name) and entry.name[:2] == pair.name and entry.is_dir(follow_symlinks=False):
                yield entry


def look(home: Path, store: Store | None, *, unused_days: float) -> Findings:
    """Everything under `home`, which may be absent. `store` is None where there is no database yet."""
    return _Search(home.resolve(), store, unused_days).findings()


def free(findings: Findings, store: Store | None, kinds: Iterable[str]) -> tuple[list[Item], list[str]]:
    """Remove the items of these kinds; those that went, and a sentence for each that could not be removed.

    A run's files stay if it has been queued again meanwhile.
    """
    wanted = [item for item in findings.items if item.kind in set(kinds)]
    gone: list[Item] = []
    problems: list[str] = []
    unused = {copy.folder for copy in shared_copies(findings.home, store)}
    for item in wanted:
        if item.path.parent == findings.home / SOURCES and item.kind == "sources" and item.path not in unused:
            continue
        known = item.run_id is not None and item.kind != "unknown"
        if known and (store is None or _state(store, str(item.run_id)) not in _FINISHED):
            continue
        try:
            _remove(item)
            gone.append(item)
        except FileNotFoundError:
            continue
        except OSError as error:
            problems.append(f"{item.path} cannot be removed: {error.strerror}")
    return gone, problems


def _remove(item: Item) -> None:
    if (item.path / MANIFEST).is_file():
        remove(item.path)  # what a script wrote into it stays
    elif item.path.is_dir():
        shutil.rmtree(item.path)
    else:
        item.path.unlink()


def _state(store: Store, run_id: str) -> str | None:
    found = store.states([run_id]).get(run_id)
    return found.state if found else None


class _Search:
    def __init__(self, home: Path, store: Store | None, unused_days: float) -> None:
        self.home, self.store, self.now = home, store, time.time()
        self.unused = unused_days * DAY
        self.items: list[Item] = []
        self.notes: list[str] = []
        self.scripts: dict[Path, int] = {}
        self.open_files = open_files(home)

    def findings(self) -> Findings:
        sizes = {entry.name: size_of(entry) for entry in entries(self.home)}
        for place in ("runs", "cache"):
            if (self.home / place).is_symlink():
                self.notes.append(f"{self.home / place} is a link to another place: skipped.")
        self.runs()
        self.cache()
        self.sources()
        for place in ("splits", "weights", SOURCES):
            self.half_written(entries(self.home / place))
        return Findings(self.home, tuple(self.items), sizes, tuple(self.notes), self.scripts, is_ours(self.home))

    def add(self, kind: str, entry: os.DirEntry[str], run_id: str | None = None) -> None:
        self.items.append(Item(kind, Path(entry.path), size_of(entry), run_id))

    def runs(self) -> None:
        folders = {entry.name: entry for entry in _run_folders(self.home)}
        states = self.store.states(folders) if self.store else {}
        known = [run_id for run_id in folders if run_id in states]
        results = self.store.results(known, epochs=False) if self.store else {}
        needed = self.needed({run_id: results[run_id] for run_id in known if states[run_id].state == "done"})
        for run_id, entry in folders.items():
            if run_id not in states:
                self.unknown(entry, run_id)
                continue
            run = results[run_id].run
            if run.trainer is not None:
                self.of_script(Path(entry.path))
                for copy in own_copies(Path(entry.path), run_id, states[run_id].state):
                    self.code_copy(copy)
            if states[run_id].state in _FINISHED:
                self.finished(Path(entry.path), run, needed.get(run_id, {"last", "selected"}))

    def of_script(self, folder: Path) -> None:
        """Files in a run's folder that ablate did not write."""
        left = (
            entry
            for entry in entries(folder)
            if not (_OURS.fullmatch(entry.name) or _HALF_WRITTEN.fullmatch(entry.name) or is_own_copy(entry.name))
        )
        if size := sum(map(size_of, left)):
            self.scripts[folder] = size

    def sources(self) -> None:
        """Snapshots. One that a process uses stays; one that this database does not know may be another's for a day."""
        for copy in shared_copies(self.home, self.store):
            if not self.is_open(copy.folder) and (copy.known or self.now - copy.asked > DAY):
                self.code_copy(copy)

    def code_copy(self, copy: CodeCopy) -> None:
        if copy.size:
            self.items.append(Item("sources" if copy.known else "unknown", copy.folder, copy.size, copy.run_id))
        if copy.left:
            self.scripts[copy.folder] = copy.left

    def finished(self, folder: Path, run: Run, needed: set[str]) -> None:
        for entry in entries(folder):
            if not entry.is_file(follow_symlinks=False):
                continue
            weights = _WEIGHTS.fullmatch(entry.name)
            if entry.name.startswith("checkpoint-") and entry.name.endswith(".pt"):
                self.add("checkpoints", entry, run.run_id)
            elif _HALF_WRITTEN.fullmatch(entry.name):
                self.add("leftovers", entry, run.run_id)
            elif weights and run.trainer is None and weights[1] not in needed:
                self.add("weights", entry, run.run_id)

    def unknown(self, entry: os.DirEntry[str], run_id: str) -> None:
        """A folder that is open, or has changed within a day, may be another database's live run."""
        if not self.is_open(entry) and self.now - newest(entry) > DAY:
            self.add("unknown", entry, run_id)

    def needed(self, results: Mapping[str, RunResult]) -> dict[str, set[str]]:
        """`last` and `selected` as far as each done run's weights are kept, selected by its recipe, or a run starts from them."""
        if self.store is None:
            return {}
        keeps = _keeps(self.store)
        links = self.store.links(results)
        needed = {run_id: _selected(result.run.recipe) for run_id, result in results.items()}
        for run_id, found in links.items():
            for link in found:
                needed[run_id] |= _names(keeps[link.study, link.profile, link.sets])
        for child in self.store.list_runs(states=("queued", "running", "failed", "lost", "cancelled", "pruned")):
            parent = child.run.parent
            if parent in needed:
                path, start = start_of(child.run.recipe)
                needed[parent] |= {start.get("weights", "last")} if path else {"last", "selected"}
        for run_id, names in needed.items():
            if "selected" in names and results[run_id].run.recipe.get("select") == "last":
                names.add("last")  # one file is both then
        return needed

    def cache(self) -> None:
        """Training maps decoded copies; one that is removed is made again when it is needed."""
        running = self.store.list_runs(states=["running"], limit=1) if self.store else []
        if running:
            self.notes.append("Decoded data is kept while runs are running.")
        for entry in entries(self.home / "cache"):
            if running or self.is_open(entry):
                continue
            if _HALF_WRITTEN.fullmatch(entry.name):
                self.half_written([entry])
            elif _is_decoded(entry):
                self.half_written(entries(Path(entry.path)))
                if self.now - newest(entry) > self.unused:
                    self.add("decoded", entry)

    def half_written(self, found: Iterable[os.DirEntry[str]]) -> None:
        for entry in found:
            if _HALF_WRITTEN.fullmatch(entry.name) and not self.is_open(entry) and self.now - newest(entry) > DAY:
                self.add("leftovers", entry)

    def is_open(self, entry: os.DirEntry[str] | Path) -> bool:
        path = os.fspath(entry)
        inside = os.path.join(path, "")
        return any(other == path or other.startswith(inside) for other in self.open_files)


def _is_decoded(entry: os.DirEntry[str]) -> bool:
    """A folder with nothing in it but what decoding writes; others may keep a cache of theirs in a folder of that name."""
    if not entry.is_dir(follow_symlinks=False):
        return False
    names = set(os.listdir(entry.path))
    return bool(names & _CACHED) and all(name in _CACHED or _HALF_WRITTEN.fullmatch(name) for name in names)


def _selected(recipe: AnyRecipe) -> set[str]:
    return {"selected"} if recipe.get("select", "last") != "last" else set()


def _names(keep: str | None) -> set[str]:
    return {"last", "selected"} if keep == "all" else {keep} if keep else set()


def _keeps(store: Store) -> dict[tuple[str, str | None, tuple[str, ...]], str | None]:
    """What each study keeps, by name, profile and variant. One that cannot be read any more keeps everything."""
    from ablate.project.records import load_record

    found: dict[tuple[str, str | None, tuple[str, ...]], str | None] = {}
    for record in store.studies():
        try:
            found[record.name, record.profile, record.sets] = load_record(record).keep
        except AblateError:
            found[record.name, record.profile, record.sets] = "all"
    for record in store.tunings():
        found[record.name, record.profile, record.sets] = record.call_options.get("keep", "all")
    return found
