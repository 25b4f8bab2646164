"""A grid of the tests on a real database, in a process of its own: `drive_study.py URL HOME RUNS`.

Says that it is ready, waits for a line, saves the study and works on it to the end; prints the ids of the runs that it trained.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from toy_store import make_run, study_of

from ablate.dispatch.contract.events import RunEnded
from ablate.dispatch.contract.executor import GridRequest
from ablate.dispatch.executors import get_executor
from ablate.store.store import Store


def main() -> int:
    url, home, runs = sys.argv[1:]
    trained: list[str] = []

    def tell(event: object) -> None:
        if isinstance(event, RunEnded):
            trained.append(event.run_id)

    print("ready", flush=True)
    sys.stdin.readline()
    with Store.open(url) as store:
        key = store.save_study(study_of(tuple(make_run(number) for number in range(int(runs)))), call_options={})
    request = GridRequest(
        key, lambda: Store.open(url), "toy_fits:fit", Path(home), device="cpu", workers=1, on_event=tell, poll=0.01,
    )  # fmt: skip
    report = get_executor("inline").run(request)
    print(json.dumps(trained))
    return report.exit_code


if __name__ == "__main__":
    sys.exit(main())
