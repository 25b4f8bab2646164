"""Parents whose weights are gone: a run that is done, and that a run still to be trained starts from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ablate.dispatch.executor import run_folder
from ablate.study.run import Run
from ablate.study.study import Study

if TYPE_CHECKING:
    from ablate.store.store import Store

_WAITING = ("queued", "pruned")


def train_parents_again(study: Study, store: Store, home: Path) -> tuple[str, ...]:
    """Queue again each done parent without the weights that a waiting run needs; the ids that were.

    Weights are kept only where somebody wanted them at the time, so a run that was done before its child was planned has
    none. A parent that trains again needs the weights of its own parent.
    """
    known = {run.run_id: run for run in (*study.runs, *study.parents)}
    if not any(run.parent for run in known.values()):
        return ()
    states = {run_id: state.state for run_id, state in store.states(known).items()}
    pending = [run for run in known.values() if states.get(run.run_id, "queued") in _WAITING]
    again: dict[str, None] = {}
    while pending:
        run = pending.pop()
        parent = known.get(run.parent) if run.parent else None
        if parent is None or states.get(parent.run_id) != "done" or parent.run_id in again:
            continue
        if not _weights(run, parent, run_folder(home, parent.run_id)):
            again[parent.run_id] = None
            pending.append(parent)
    if not again:
        return ()
    return store.requeue(again, "its weights are gone, and a run that is to be trained starts from them")


def _weights(child: Run, parent: Run, folder: Path) -> bool:
    """Whether the parent's folder has the file that the child loads; where a recipe selects its last epoch, last is selected."""
    which = child.recipe["model"]["init"].get("weights", "last")
    if (folder / f"model-{which}.pt").is_file():
        return True
    return which == "selected" and parent.recipe["select"] == "last" and (folder / "model-last.pt").is_file()
