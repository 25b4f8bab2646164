"""Which runs of a study cannot start on this machine now, and which done parents must train again for their children.

None of this is stored: data and weights come and go, and another machine may have them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablate.dispatch.contract.executor import run_folder
from ablate.parts.declare import DataSet
from ablate.parts.found import parts
from ablate.project.advice import command
from ablate.study.assign.foreign_call import unset_here
from ablate.study.assign.metric_files import absent_package
from ablate.study.recipes.first_weights import absent
from ablate.study.recipes.places import data_root
from ablate.study.recipes.recipe import start_of
from ablate.study.values.recipe import AnyRecipe
from ablate.study.values.run import Run
from ablate.study.values.study import Study

if TYPE_CHECKING:
    from ablate.store.store import Store

WAITING = ("queued", "pruned")
DEAD = {"failed": "failed", "lost": "was lost", "cancelled": "was cancelled"}


@dataclass(frozen=True)
class Block:
    """Why a run cannot start. `why` names file, folder and parent; `cause` leaves the parent's id out, so that replicates
    share it, and says up to its first colon what a table's cell says.
    """

    why: str
    cause: str

    @property
    def note(self) -> str:
        return self.cause.partition(":")[0]


class Outlook:
    """Which waiting runs and parents of a study can start.

    `states` holds what is stored, by run id; a run that is not in it waits to be queued. `blocks` has the waiting runs that
    cannot start, `again` the done parents without the weights that a waiting run starts from, and `barred` all runs that
    no worker on this machine may claim, including those that may be queued again meanwhile.
    """

    def __init__(self, study: Study, states: Mapping[str, str], home: Path) -> None:
        self.again: dict[str, None] = {}
        self._known = {run.run_id: run for run in (*study.parents, *study.runs)}
        self._states = states
        self._home = home
        own = str(Path(study.file).parent)
        self._folders = [Path(folder).resolve() for folder in (own, *study.parent_folders)]
        self._absent: dict[str, str] = {}
        self._no_data_of: dict[tuple[object, object], str] = {}
        self._looked: dict[str, Block | None] = {}
        blocks = {run_id: self._block(run) for run_id, run in self._known.items() if self._state(run_id) in WAITING}
        self.blocks = {run_id: block for run_id, block in blocks.items() if block is not None}
        self.barred = frozenset(run_id for run_id, run in self._known.items() if self._is_barred(run))

    def _state(self, run_id: str) -> str:
        return self._states.get(run_id, "queued")

    def _is_barred(self, run: Run) -> bool:
        """Whether the store might hand it out although it cannot start. What waits for an unfinished parent the store holds back."""
        if self._state(run.run_id) == "done":
            return False
        freed = run.parent is not None and self._state(run.parent) == "done"
        return bool(self._lacks(run)) or (freed and run.run_id in self.blocks)

    def _block(self, run: Run) -> Block | None:
        """Why `run` could not be trained now, whatever its state is."""
        if run.run_id not in self._looked:
            self._looked[run.run_id] = self._look(run)
        return self._looked[run.run_id]

    def _look(self, run: Run) -> Block | None:
        if why := self._lacks(run):
            return Block(why, why)
        parent = self._known.get(run.parent) if run.parent else None
        if parent is None:
            return None
        state, name = self._state(parent.run_id), f"its parent {parent.run_id[:12]}"
        if state in DEAD:
            return Block(f"{name} is {state}", f"its parent {DEAD[state]}")
        if state == "running" or (state == "done" and self._kept(run, parent)):
            return None
        block = self._block(parent)
        if block is None:
            if state == "done":
                self.again[parent.run_id] = None
            return None
        what = "is done, but its weights are gone and it cannot train again" if state == "done" else "is blocked"
        inherited = block.cause if block.cause.startswith("its parent") else f"its parent has {block.cause}"
        return Block(f"{name} {what}: {block.why}", inherited)

    def _lacks(self, run: Run) -> str:
        """What is not on this machine of what the run begins with: its data, or weights from a file; of a script's, what ablate reads
        its numbers with, and variables that are passed on."""
        if run.trainer is not None:  # ablate cannot read another trainer's recipe
            return "; ".join(filter(None, (absent_package(run.trainer), _unset(run.trainer))))
        if run.arm_id not in self._absent:
            weights = absent(run.recipe, home=self._home, folders=self._folders)
            self._absent[run.arm_id] = "; ".join(filter(None, (self._no_data(run), weights)))
        return self._absent[run.arm_id]

    def _no_data(self, run: Run) -> str:
        data = (run.recipe.get("data.name"), run.recipe.get("data.path"))
        if data not in self._no_data_of:
            self._no_data_of[data] = _absent_data(run.recipe, data_root())
        return self._no_data_of[data]

    def _kept(self, child: Run, parent: Run) -> bool:
        """Whether the parent's folder has the file that the child loads; where a recipe selects its last epoch, last is selected."""
        folder = run_folder(self._home, parent.run_id)
        which = start_of(child.recipe)[1].get("weights", "last")
        if (folder / f"model-{which}.pt").is_file():
            return True
        return which == "selected" and parent.recipe.get("select") == "last" and (folder / "model-last.pt").is_file()


def _unset(trainer: Mapping[str, Any]) -> str:
    """What a script asks for of the caller's environment and does not get; empty where nothing is absent."""
    absent = ", ".join(unset_here(trainer.get("env") or {}, os.environ))
    return (
        f"no {absent}: trainer.env passes it on from here, where it is not set; set it and ask again" if absent else ""
    )


def train_parents_again(study: Study, store: Store, home: Path, request: int) -> tuple[str, ...]:
    """Queue again, for a request, each done parent without the weights that a waiting run needs; the ids that were.

    Weights are kept only if they were wanted at the time, so a run that was done before its child was planned has
    none. A parent that trains again needs the weights of its own parent; one that cannot train again stays done.
    """
    known = [run.run_id for run in (*study.runs, *study.parents)]
    states = {run_id: state.state for run_id, state in store.states(known).items()}
    again = Outlook(study, states, home).again
    if not again:
        return ()
    return store.requeue(again, "its weights are gone, and a run that is to be trained starts from them", request)


def _absent_data(recipe: AnyRecipe, root: Path) -> str:
    """Why the data set of a stored recipe is not in `root` (ABLATE_DATA) and what to do, in one line; '' where it may be.

    Whatever lies at one of its places counts as there: the trainer says what is wrong with it. A function's data, and a data set that
    no part declares, may be anywhere.
    """
    name, path = str(recipe.get("data.name")), recipe.get("data.path")
    known = parts(DataSet).get(name)
    if known is None or known.embedded or (path is None and known.needs_path):
        return ""
    places = [str(path)] if path is not None else list(known.places)
    if any(_is_there(known, root / place) for place in places):
        return ""
    fetch = path is None and known.archive is not None
    how = command("data", "fetch", name) if fetch else "put it there" if path is not None else known.get
    return f"no data: {name} is not in {root} (ABLATE_DATA; looked for {', '.join(places)}). To get it: {how}"


def _is_there(known: DataSet, place: Path) -> bool:
    """Another package's data set may find itself beside the place that it names."""
    try:
        return place.exists() or known.open(place) is not None
    except Exception:  # there, but not to be read: the trainer says why
        return True
