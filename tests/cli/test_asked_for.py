"""Two calls at a time, with any `--set`, `--seeds`, profile and folder: neither trains less than it was asked for."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ablate.project.calls import folder_of, options_of_call
from ablate.project.grids import Worked
from ablate.project.planning import make_plan
from ablate.project.stored import as_asked, every_study
from ablate.store.host import WorkerInfo
from ablate.store.store import Store
from ablate.study.code.provenance import codes_of
from ablate.study.loader import Choices, load
from ablate.study.records import Outcome
from ablate.study.values.study import Study

STUDY = """\
study: s
recipe: {{x: 1, y: 0}}
trainer: {{command: "python t.py {{x}} {{y}}", metrics: {{top1: }}, seed: env}}
factors: {{x: {{path: x, levels: {levels}}}}}
seeds: 2
baseline: {{x: 1}}
profiles: {{cpu: {{recipe: {{y: 9}}}}}}
"""
FOLDERS = {"A": ("[1, 2]", "print(1)"), "B": ("[1, 2]", "print(2)"), "C": ("[1, 3]", "print(3)")}
"""B has A's design and another script, C another design."""


@dataclass(frozen=True)
class Call:
    folder: str
    sets: tuple[str, ...]
    seeds: tuple[int, ...] | None
    profile: str | None

    @property
    def choices(self) -> Choices:
        return Choices(self.profile, self.sets, self.seeds)


CALLS = st.builds(
    Call,
    st.sampled_from(sorted(FOLDERS)),
    st.sampled_from([(), ("y=1",), ("y=2",), ("y=0",)]),
    st.sampled_from([None, (0,), (0, 1), (1, 2), (3,)]),
    st.sampled_from([None, None, "cpu"]),
)

ENDS = st.lists(st.sampled_from(["done", "release", "lose"]), max_size=8).filter(lambda ends: ends.count("lose") < 3)
"""How the first attempts end; a run that is lost three times is lost, and its grid says so."""


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("projects")
    for name, (levels, script) in FOLDERS.items():
        (root / name).mkdir()
        (root / name / "s.yaml").write_text(STUDY.format(levels=levels))
        (root / name / "t.py").write_text(script)
    return root


def grid(store: Store, study: Study, ends: Iterator[str]) -> Iterator[int]:
    """What `grid run` does, a step at a time: ask, then claim and end one run after the other until none is left to wait for."""
    codes = codes_of(study)
    key = store.save_study(study, call_options=options_of_call(study), folder=str(folder_of(study)), code=codes)
    yield key
    while store.waiting(key).open:
        claim = store.claim(key, WorkerInfo.here(device="cpu"))
        yield key
        if claim is None:
            continue
        assert claim.run.run_id in codes, "a run that this call never asked for"
        store.set_environment(claim, {"code": codes[claim.run.run_id].digest})
        end = next(ends)
        if end == "release":
            store.release(claim, "a signal")
        elif end == "lose":
            store.lose(claim, "killed")
        else:
            store.finish(claim, Outcome({"top1": 0.5}, "test"), 1.0)
        yield key


@pytest.mark.slow
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(calls=st.lists(CALLS, min_size=2, max_size=3), turns=st.lists(st.integers(0, 2), max_size=60), first=ENDS)
def test_every_call_ends_with_all_that_it_asked_for(
    projects: Path, calls: list[Call], turns: list[int], first: list[str]
) -> None:
    ends = itertools.chain(first, itertools.repeat("done"))
    studies = [load(projects / call.folder / "s.yaml", call.choices) for call in calls]
    number = sum(1 for _ in projects.glob("*.db"))
    with Store.open(f"sqlite:///{projects}/{number}.db") as store:
        grids = dict(enumerate(grid(store, study, ends) for study in studies))
        keys: dict[int, int] = {}
        for turn in itertools.chain(turns, itertools.cycle(range(len(studies)))):
            if not grids:
                break
            one = turn % len(studies)
            if one in grids:
                found = next(grids[one], None)
                if found is None:
                    del grids[one]
                    plan = make_plan(studies[one], store)
                    assert Worked(plan, plan, None).complete(), "a grid ends only when all of its own runs are done"
                else:
                    keys[one] = found
        assert not any(request.open for request in store.requests())
        runs = {result.run.run_id: result for result in store.list_runs()}
        assert {run.run_id for study in studies for run in study.runs} == set(runs)
        for result in runs.values():
            done = [attempt for attempt in result.attempts if attempt.state == "done"]
            assert len(done) == 1, "trained once, whoever asked"
        assert store.check() == []
        for call, study in zip(calls, studies, strict=True):
            asked = {
                seed
                for other, again in zip(calls, studies, strict=True)
                if (other.profile, again.sets, again.text) == (call.profile, study.sets, study.text)
                for seed in again.seeds
            }
            shown = as_asked(store, projects / call.folder / "s.yaml", Choices(call.profile, call.sets))
            assert set(shown.seeds) == asked, "a file shows all seeds that were asked of its text"
            mine = [one for one in every_study(store) if (one.profile, one.sets) == (study.profile, study.sets)]
            assert len(mine) == 1
            assert {run.run_id for run in mine[0].runs} <= set(runs)
