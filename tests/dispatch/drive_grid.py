"""A grid of the tests in a process of its own: `drive_grid.py HOME EXECUTOR ACT RUNS WORKERS`.

Prints a line for each event that the tests wait for, and at the end one JSON document: the states of all runs and of their attempts.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from toy_store import ToyStore, make_run

from ablate.dispatch.contract.events import EpochDone, RunEnded
from ablate.dispatch.contract.executor import GridRequest
from ablate.dispatch.contract.signals import StopFlag, listening
from ablate.dispatch.executors import get_executor


class Audible(StopFlag):
    def request(self, signal_number: int = 15) -> None:
        super().request(signal_number)
        os.write(1, b"Asked\n")


def main() -> int:
    home, executor, act, runs, workers = sys.argv[1:]
    store = ToyStore(Path(home) / "toys.db", *(make_run(number, act) for number in range(int(runs))))

    def tell(event: object) -> None:
        if isinstance(event, EpochDone | RunEnded):
            print(type(event).__name__, getattr(event, "error", ""), flush=True)

    request = GridRequest(
        store.key,
        store.open,
        "toy_fits:fit",
        Path(home),
        device="cpu",
        workers=int(workers),
        on_event=tell,
        stop=Audible(),
    )
    with listening(request.stop):
        report = get_executor(executor).run(request)
    entries = [[entry.state, entry.ends] for entry in (store.of(run.seed) for run in store.runs)]
    print(json.dumps({"entries": entries, "released": report.released, "interrupted": report.interrupted}))
    return report.exit_code


if __name__ == "__main__":
    sys.exit(main())
