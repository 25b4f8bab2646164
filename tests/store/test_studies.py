from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ablate.errors import NotFound, UsageError
from ablate.store import codec
from ablate.store.store import Store
from ablate.store.values import Counts, StoredStudy, StudyLink
from ablate.study.records import Outcome
from ablate.study.values.study import Arm

Make = Callable[..., Any]
DONE = Outcome({"top1": 0.5})


@pytest.fixture
def every_state(store: Store, make_run: Make, make_study: Make, remote: Make) -> tuple[Any, dict[str, str]]:
    """A study with one run of each state, and the ids by state. `done` ran the code `old`, `unknown` does not say."""
    names = ["done", "unknown", "failed", "lost", "pruned", "cancelled", "running", "queued"]
    runs = [make_run(name) for name in names]
    study = make_study(runs)
    key = store.save_study(study, call_options={})
    claims = {name: store.claim(key, remote()) for name in names[:7]}
    store.set_environment(claims["done"], {"code": "old"})
    store.finish(claims["done"], DONE, 1.0)
    store.finish(claims["unknown"], DONE, 1.0)
    store.fail(claims["failed"], "boom")
    store.prune(claims["pruned"], "no hope")
    store.cancel([claims["cancelled"].run.run_id])
    claim = claims["lost"]
    for _ in range(3):
        store.lose(claim, "signal 9")
        claim = store.claim(key, remote()) or claim
    # The run lost is the first in the queue each time, so the last claim took the one that should stay queued.
    store.release(claim, "back")
    ids = {name: run.run_id for name, run in zip(names, runs, strict=True)}
    expected = {name: "done" if name == "unknown" else name for name in names}
    assert {name: store.find(ids[name]).state for name in names} == expected
    return study, ids


@pytest.mark.parametrize(
    ("retry", "again"),
    [
        (None, set()),
        ("failed", {"failed"}),
        ("lost", {"lost"}),
        ("all", {"failed", "lost", "cancelled"}),
        ("stale", {"done"}),
    ],
)
def test_what_each_retry_rule_queues_again(
    store: Store, every_state: tuple[Any, dict[str, str]], retry: str | None, again: set[str]
) -> None:
    study, ids = every_state
    before = store.states(ids.values())
    store.save_study(study, call_options={}, retry=retry, code="new")
    after = store.states(ids.values())
    changed = {name for name, run_id in ids.items() if before[run_id] != after[run_id]}
    assert changed == again | {"pruned"}
    assert all(after[ids[name]].state == "queued" and after[ids[name]].error is None for name in changed)


def test_tuning_keeps_its_pruned_runs(store: Store, every_state: tuple[Any, dict[str, str]]) -> None:
    study, ids = every_state
    store.save_study(study, call_options={}, requeue_pruned=False)
    assert store.find(ids["pruned"]).state == "pruned"


def test_runs_of_the_same_code_are_not_stale(store: Store, every_state: tuple[Any, dict[str, str]]) -> None:
    study, ids = every_state
    store.save_study(study, call_options={}, retry="stale", code="old")
    assert store.find(ids["done"]).state == "done"
    assert not store.find(ids["done"], code="old").stale
    assert store.find(ids["done"], code="new").stale
    assert not store.find(ids["unknown"], code="new").stale


def test_a_retry_starts_a_new_count_of_three(
    store: Store, fake: Any, take: Make, make_run: Make, make_study: Make, remote: Make
) -> None:
    claim = take()
    study = make_study([claim.run])
    for _ in range(3):
        store.lose(claim, "signal 9")
        claim = store.claim(claim.request_key, remote()) or claim
    assert store.find(claim.run.run_id).state == "lost"
    key = store.save_study(study, call_options={}, retry="lost")
    for number in (4, 5, 6):
        claim = store.claim(key, remote())
        assert claim.attempt == number
        store.lose(claim, "signal 9")
    assert store.claim(key, remote()) is None
    assert len(store.find(claim.run.run_id).attempts) == 6


def test_an_unknown_retry_rule(store: Store, make_study: Make) -> None:
    with pytest.raises(UsageError, match="--retry done is unknown; allowed: failed, lost, all, stale"):
        store.save_study(make_study(1), call_options={}, retry="done")
    with pytest.raises(UsageError, match="--retry stale needs the present code"):
        store.save_study(make_study(1), call_options={}, retry="stale")
    assert store.studies() == ()


def test_a_retried_parent_is_retried_with_its_study(
    store: Store, make_run: Make, make_study: Make, remote: Make
) -> None:
    parent = make_run("parent")
    study = make_study([make_run("child", parent=parent.run_id)], parents=(parent,))
    key = store.save_study(study, call_options={})
    store.fail(store.claim(key, remote()), "boom")
    assert store.waiting(key).blocked == 1
    again = store.save_study(study, call_options={}, retry="failed")
    assert (store.waiting(again).queued, store.waiting(again).waiting) == (1, 1)


def test_a_retried_run_is_queued_for_the_asker_alone(store: Store, make_study: Make, remote: Make) -> None:
    study, other = make_study(1, "s"), make_study(1, "t")
    key = store.save_study(study, call_options={})
    store.fail(store.claim(key, remote()), "boom")
    again = store.save_study(other, call_options={}, retry="failed")
    assert store.waiting(key) == Counts(retried=1)
    assert store.waiting(again) == Counts(queued=1)
    assert store.claim(key, remote()) is None
    store.finish(store.claim(again, remote()), DONE, 1.0)
    assert store.waiting(key) == store.waiting(again) == Counts(done=1)
    assert store.check() == []


# Saving ---------------------------------------------------------------------------------------------------------------


def test_saving_again_updates_one_row_and_removes_no_run(
    store: Store, fake: Any, make_run: Make, make_study: Make
) -> None:
    first = store.request(store.save_study(make_study([make_run("a"), make_run("b")]), call_options={"seeds": [0]}))
    fake.pass_(10)
    changed = replace(make_study([make_run("b"), make_run("c")]), source="study: s # two\n", file="moved/s.yaml")
    second = store.request(store.save_study(changed, call_options={"set": {"optimizer.lr": 1e-3}, "bad": float("nan")}))
    assert (second.study_key, second.call_options["bad"]) == (first.study_key, None)
    assert store.studies() == (
        StoredStudy(
            first.study_key,
            "s",
            None,
            "study: s # two\n",
            "moved/s.yaml",
            {"set": {"optimizer.lr": 1e-3}, "bad": None},
            fake.now,
        ),
    )
    assert [result.run.recipe["model"]["arch"] for result in store.list_runs(study="s")] == ["b", "c"]
    assert len(store.list_runs()) == 3
    assert store.find(make_run("a").run_id).studies == ("s",), "it was asked for once"


def test_profiles_are_studies_of_their_own(store: Store, fake: Any, make_run: Make, make_study: Make) -> None:
    full = store.request(store.save_study(make_study([make_run("full")]), call_options={})).study_key
    fake.pass_(1)
    cpu = store.request(store.save_study(make_study([make_run("cpu")], profile="cpu"), call_options={})).study_key
    assert full != cpu
    assert [(s.name, s.profile) for s in store.studies()] == [("s", "cpu"), ("s", None)]
    assert store.studies()[0].key == store.studies("s")[0].key == store.studies("s", "cpu")[0].key == cpu
    assert [s.key for s in store.studies("s", "")] == [full]
    assert [result.run for result in store.list_runs(profile="cpu")] == [make_run("cpu")]
    assert [result.run for result in store.list_runs(study="s", profile="")] == [make_run("full")]


def test_the_study_run_last_comes_first(store: Store, fake: Any, make_study: Make) -> None:
    for name in ("a", "b", "a"):
        fake.pass_(1)
        store.save_study(make_study(1, name), call_options={})
    assert [study.name for study in store.studies()] == ["a", "b"]


def test_a_study_that_is_not_there(store: Store, make_study: Make) -> None:
    assert store.studies() == ()
    store.save_study(make_study(1, "lee2024"), call_options={})
    assert store.studies("lee2025") == store.studies("lee2024", "cpu") == ()
    with pytest.raises(NotFound, match=r"no study lee2025\. It has: lee2024\."):
        store.list_runs(study="lee2025")


def test_links_say_what_each_study_calls_a_run(store: Store, make_run: Make, make_study: Make) -> None:
    parent, run = make_run("parent"), make_run("child", parent=make_run("parent").run_id)
    study = make_study([run], parents=(parent,))
    arm = Arm("resnet18/B", {"arch": "resnet18", "tweak": "B"}, run.arm_id, run.recipe)
    same = Arm("resnet18/A", {"arch": "resnet18", "tweak": "A"}, run.arm_id, run.recipe, merged_into="resnet18/B")
    store.save_study(replace(study, arms=(same, arm)), call_options={})
    store.save_study(make_study([run], "t", "cpu"), call_options={})
    found = store.links([run.run_id, parent.run_id, "unknown"])
    assert found[run.run_id][0] == StudyLink(
        "s", None, 1, "resnet18/B", {"arch": "resnet18", "tweak": "B"}, ("resnet18/A",)
    )
    assert (found[run.run_id][1].study, found[run.run_id][1].profile) == ("t", "cpu")
    assert found[parent.run_id] == (StudyLink("s", None, 0, "", {}, (), is_parent=True),)
    assert set(found) == {run.run_id, parent.run_id}


def test_a_parent_that_is_an_arm_too_is_one_run(store: Store, make_run: Make, make_study: Make) -> None:
    parent = make_run("parent")
    child = make_run("child", parent=parent.run_id)
    store.save_study(make_study([parent, child], parents=(parent,)), call_options={})
    assert [result.run for result in store.list_runs(study="s")] == [parent, child]
    assert not store.links([parent.run_id])[parent.run_id][0].is_parent


def test_odd_names_are_data(store: Store, make_study: Make) -> None:
    for name in ("'; DROP TABLE runs;--", "../../etc/x", "%s", "名前 🎉", "new\nline", "x" * 300):
        store.save_study(make_study(1, name), call_options={"name": name})
        assert store.studies(name)[0].call_options == {"name": name}
    assert store.check() == []


def test_an_empty_study(store: Store, make_study: Make, remote: Make) -> None:
    key = store.save_study(make_study([]), call_options={})
    assert store.claim(key, remote()) is None
    assert store.waiting(key).total == 0


def test_a_grid_of_more_runs_than_a_statement_takes(
    store: Store, make_run: Make, make_study: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The seconds of 100,000 runs are measured by hand, not here."""
    monkeypatch.setattr(codec.chunks, "__defaults__", (50,))
    runs = [make_run("a", seed) for seed in range(120)]
    key = store.save_study(make_study(runs), call_options={})
    ids = [run.run_id for run in runs]
    assert {state.state for state in store.states(ids).values()} == {"queued"}
    assert store.waiting(key).queued == len(store.states(ids)) == len(store.results(ids)) == 120
    assert len(store.cancel(ids)) == 120
    again = store.save_study(make_study(runs), call_options={}, retry="all")
    assert store.waiting(again).queued == store.waiting(key).retried == 120
    assert store.check() == []
