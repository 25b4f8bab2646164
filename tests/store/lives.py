"""A short life of a database, in which every kind of write happens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ablate.errors import LeaseLost
from ablate.store.store import Store
from ablate.study.code.verified import Verified
from ablate.study.records import Artifact, Confusion, EpochRecord, Outcome

Make = Callable[..., Any]
OUTCOME = Outcome(
    {"top1": 0.5}, confusions=(Confusion("val", "last", ("a", "b"), ((1, 0), (0, 1))),),
    artifacts=(Artifact("log", "log.txt", 1, "ab" * 32),),
)  # fmt: skip


def life(store: Store, fake: Any, run: Make, study: Make, remote: Make) -> None:
    """Every kind of write, in an order in which each has something to do."""
    parent = run("parent")
    runs = [run("child", parent=parent.run_id), *(run("a", seed) for seed in range(6))]
    key = store.save_study(study(runs, parents=(parent,)), call_options={"set": []})
    claims = [store.claim(key, remote(f"w{number}"), 30.0) for number in range(6)]
    assert [claim.attempt for claim in claims] == [1] * 6
    done, failed, pruned, released, lost, silent = claims
    for claim in (done, failed):
        store.heartbeat(claim, 40.0)
        store.set_environment(claim, {"code": "abc"}, "cpu/fp32", "cpu")
        store.record_epoch(claim, [EpochRecord(1, split, {"top1": 0.25}) for split in ("train", "val")])
    store.finish(done, OUTCOME, 12.5)
    store.fail(failed, "boom")
    store.prune(pruned, "no hope")
    store.release(released, "SIGTERM")
    store.lose(lost, "signal 9")
    fake.pass_(31.0)
    assert store.claim(key, remote("w7"), 30.0).attempt == 1  # the child, whose parent is done; `silent` has lapsed
    with pytest.raises(LeaseLost):
        store.finish(silent, OUTCOME, 1.0)
    key = store.save_study(study(runs, parents=(parent,)), call_options={"set": []}, retry="failed")
    store.cancel([failed.run.run_id])
    store.add_verified(Verified(done.run.run_id, "abc", "def", "cpu/fp32", True, {"trainer core": ("abc", "1")}))
    store.requeue([done.run.run_id], "its weights are gone", key)
