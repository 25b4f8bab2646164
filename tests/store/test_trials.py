"""Trials: each number once, each end once, in the order in which they ended."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from ablate.store.store import Store
from ablate.store.values import StoredTrial

Make = Callable[..., Any]


def trial(number: int, **changes: Any) -> StoredTrial:
    made = StoredTrial(
        "t" * 64, number, "s", None, "A/c", {"optimizer.lr": 0.1}, {"optimizer.lr": {"name": "x"}}, ("r" * 64,)
    )
    return replace(made, **changes)


def test_what_is_saved_comes_back(store: Store) -> None:
    assert store.trials(["t" * 64]) == {}
    assert store.add_trial(trial(0))
    ended = trial(
        0, state="pruned", value=0.5, epochs=3, seconds=1.5, error="pruned", attributes={"completed_rung_0": 0.5}
    )
    assert store.end_trial(ended)
    assert store.trials(["t" * 64, "u" * 64]) == {"t" * 64: (replace(ended, told=0),)}


def test_a_number_is_given_once_and_in_order(store: Store) -> None:
    assert store.add_trial(trial(0))
    assert not store.add_trial(trial(0))
    assert not store.add_trial(trial(2))
    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(lambda _: store.add_trial(trial(1)), range(8))) == [False] * 7 + [True]


def test_an_end_counts_once(store: Store) -> None:
    for number in range(3):
        store.add_trial(trial(number))
    assert store.end_trial(trial(2, state="complete", value=0.7))
    assert not store.end_trial(trial(2, state="failed"))
    assert store.end_trial(trial(0, state="failed", error="the loss is nan"))
    assert not store.end_trial(trial(7, state="failed"))
    found = store.trials(["t" * 64])["t" * 64]
    assert [(item.state, item.told, item.value) for item in found] == [
        ("failed", 1, None),
        ("running", None, None),
        ("complete", 0, 0.7),
    ]
    with pytest.raises(ValueError, match="unknown end of a trial 'done'; allowed: complete, pruned, failed"):
        store.end_trial(trial(1, state="done"))


def test_failed_ones_run_again_and_the_others_keep_their_order(store: Store) -> None:
    for number in range(3):
        store.add_trial(trial(number))
    for number, state in ((1, "failed"), (0, "complete"), (2, "pruned")):
        store.end_trial(trial(number, state=state, value=0.1))
    store.reopen_trials("t" * 64, [0, 1])
    found = store.trials(["t" * 64])["t" * 64]
    assert [(item.state, item.told) for item in found] == [("complete", 0), ("running", None), ("pruned", 1)]


def test_tunings_own_studies_are_found_by_name_alone(store: Store, make_study: Make) -> None:
    store.save_study(make_study(2), call_options={})
    store.save_study(replace(make_study(3), name="tune:toy:12345678"), call_options={})
    assert ["tune:" in item.name for item in store.studies()] == [False]
    assert [item.name for item in store.studies("tune:toy:12345678")] == ["tune:toy:12345678"]
