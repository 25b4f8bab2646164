"""A worker process for the tests: waits for the start, then does what it is told. Prints one JSON line a run.

python claimer.py URL REQUEST claim            claim and finish until nothing is left; a second line says it is recorded
python claimer.py URL REQUEST claim-all        the same until nothing is waited for: others may hold the runs for a moment
python claimer.py URL REQUEST claim-one        the same with one run only
python claimer.py URL REQUEST claim-told       the same, a run for each line on stdin; a server that goes away is waited for, however long a
                                               busy machine takes to bring it back
python claimer.py URL REQUEST hang             claim one run, say so, and wait to be killed
python claimer.py URL -       open             open the database, which may not exist yet
"""

import json
import sys
import time

from ablate.store import engine
from ablate.store.host import WorkerInfo
from ablate.store.store import Store
from ablate.study.records import Outcome

LONG = 600.0
"""Seconds of patience, and of a lease: nothing here may lapse because a machine is busy."""


def main() -> None:
    url, key, what = sys.argv[1:]
    print("ready", flush=True)
    sys.stdin.readline()
    if what == "claim-told":
        engine.OUTAGE, engine._PAUSES = LONG, (*engine._PAUSES, *[1.0] * int(LONG))
    with Store.open(url) as store:
        if what == "open":
            print(json.dumps(len(store.studies())), flush=True)
            return
        worker = WorkerInfo.here()
        while True:
            if what == "claim-told":
                sys.stdin.readline()
            asked = time.monotonic()
            claim = store.claim(int(key), worker, ttl=LONG)
            if claim is None and what == "claim-all" and store.waiting(int(key)).open:
                time.sleep(0.01)
                continue
            if claim is None:
                return
            waited = time.monotonic() - asked
            print(json.dumps([claim.run.run_id, claim.attempt, waited]), flush=True)
            if what == "hang":
                sys.stdin.readline()
            store.finish(claim, Outcome({"top1": 0.5}), 1.0)
            print(json.dumps([claim.run.run_id, "done"]), flush=True)
            if what == "claim-one":
                return


main()
