"""A tuning of the tests in a process of its own: `drive_tuning.py TUNE.yaml WORKERS`. A line for each epoch and each end."""

from __future__ import annotations

import os
import sys

from ablate.dispatch.contract.events import EpochDone, RunEnded
from ablate.dispatch.contract.executor import GridRequest
from ablate.dispatch.contract.slots import Slot
from ablate.dispatch.processes.local import LocalExecutor
from ablate.store.store import Store
from ablate.study.recipes.places import home
from ablate.study.tuning.tuning import load_tuning
from ablate.tuning.loop import tune
from ablate.tuning.session import Session


def main() -> int:
    tuning, workers = load_tuning(sys.argv[1]), int(sys.argv[2])
    url = os.environ["ABLATE_DB"]

    def tell(event: object) -> None:
        if isinstance(event, EpochDone):
            print("epoch", flush=True)
        elif isinstance(event, RunEnded):
            print(event.state, event.error or "", flush=True)

    slots = tuple(Slot(number, "cpu", "cpu", 1, {}) for number in range(workers))
    with Store.open(url) as store:
        request = GridRequest(
            0, lambda: Store.open(url), "toy_tuning:slow", home(), device="cpu", on_event=tell, poll=0.05
        )
        return tune(Session(tuning, store), request, LocalExecutor(slots), workers).exit_code


if __name__ == "__main__":
    sys.exit(main())
