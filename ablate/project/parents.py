"""Parents whose weights are gone: a run that is done, and that a run still to be trained starts from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ablate.project.blocked import Outlook
from ablate.study.values.study import Study

if TYPE_CHECKING:
    from ablate.store.store import Store


def train_parents_again(study: Study, store: Store, home: Path, request: int) -> tuple[str, ...]:
    """Queue again, for a request, each done parent without the weights that a waiting run needs; the ids that were.

    Weights are kept only where somebody wanted them at the time, so a run that was done before its child was planned has
    none. A parent that trains again needs the weights of its own parent; one that cannot train again stays done.
    """
    known = [run.run_id for run in (*study.runs, *study.parents)]
    states = {run_id: state.state for run_id, state in store.states(known).items()}
    again = Outlook(study, states, home).again
    if not again:
        return ()
    return store.requeue(again, "its weights are gone, and a run that is to be trained starts from them", request)
