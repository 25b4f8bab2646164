"""A tuning under way: what was asked for, what is open, what ended. The one place where askers and store meet.

Every step is saved before it has an effect: a trial before its runs, its runs before a worker can claim them. Whatever is
killed, the next session finds all trials in the store and goes on with those that have not ended.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ablate.store.queries import TUNING
from ablate.store.store import Store
from ablate.store.values import RunState, StoredTrial
from ablate.study.records import EpochRecord, RunResult
from ablate.study.tuning.trial_epochs import most_epochs
from ablate.study.values.recipe import epochs_of
from ablate.study.values.run import Run
from ablate.study.values.study import Arm, Study
from ablate.study.values.trials import Tuning
from ablate.tuning.asker import Asker
from ablate.tuning.budget import Cost, may_ask
from ablate.tuning.outcomes import DEAD, End, cost_of, end_of, mean_curve, measured, run_curve
from ablate.tuning.recipes import CannotTrain, parents_of, runs_of, tuning_key

Prepare = Callable[[Study, int], object]


@dataclass(eq=False)
class _Arm:
    """One arm's side of a session; by number, what its trials cost, those that have not ended, and the runs of all."""

    arm: Arm
    key: str
    epochs: int
    asker: Asker
    costs: dict[int, Cost] = field(default_factory=dict)
    open: dict[int, StoredTrial] = field(default_factory=dict)
    pruned: set[str] = field(default_factory=set)
    runs: dict[int, tuple[Run, ...]] = field(default_factory=dict)
    ended: int = 0


class Session:
    """Safe to call from several threads. `prepare` is called with the study of all trials' runs, and the key of the request
    for them, once they are queued. `sources` are the snapshots of their code, by commit. All askers of a tuning share one request, which grows; `key` is its key. `found` counts the runs of this session's trials that were done when they were asked for."""

    def __init__(
        self,
        tuning: Tuning,
        store: Store,
        prepare: Prepare = lambda study, key: None,
        sources: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        self.tuning = tuning
        self.sources = sources or {}
        self._store = store
        self._prepare = prepare
        self._lock = threading.RLock()
        self._curves: dict[str, dict[int, float]] = {}
        self.found = 0
        keys = [tuning_key(tuning, arm) for arm in tuning.arms]
        self._text = hashlib.sha256("".join(keys).encode()).hexdigest()
        self.name = f"{TUNING}{tuning.study.name}:{self._text[:8]}"
        self._arms = [self._recalled(arm, key) for arm, key in zip(tuning.arms, keys, strict=True)]
        self._over = False
        self.key = self._save()

    # What others ask ------------------------------------------------------------------------------------------------

    @property
    def over(self) -> bool:
        """Whether every trial has ended and no arm may ask for another."""
        with self._lock:
            return not any(side.open or self._may_ask(side) for side in self._arms)

    @property
    def runs(self) -> Study:
        """The runs of all trials as a study, for displays."""
        with self._lock:
            return self._study()

    def names(self) -> dict[str, str]:
        """What people see of each run: arm, number of the trial, seed."""
        with self._lock:
            return {
                run.run_id: f"{side.arm.name} trial {number}" + (f" seed {run.seed}" if len(runs) > 1 else "")
                for side in self._arms
                for number, runs in side.runs.items()
                for run in runs
            }

    def counts(self) -> dict[str, tuple[int, int]]:
        """For each arm its trials that have ended, and those that are open."""
        with self._lock:
            return {side.arm.name: (side.ended, len(side.open)) for side in self._arms}

    def step(self, workers: int, *, ask: bool = True) -> None:
        """Tell what has ended, then ask until there is a run for each worker."""
        with self._lock:
            self._settle()
            while ask and self._waiting() < workers:
                ready = [side for side in self._arms if self._may_ask(side)]
                if not ready:
                    break
                self._ask(min(ready, key=lambda side: side.asker.asked))
                self._settle()
            if self.over and not self._over:
                self._save()

    def judge(self, run: Run, records: Sequence[EpochRecord]) -> str | None:
        """Why a run should end now, or None. It is asked after each recorded epoch, in its worker's thread.

        A trial of several seeds is judged at an epoch once all of its runs have it, by their mean.
        """
        found = measured(records, self.tuning.metric)
        if not found:
            return None
        epoch = max(found)
        with self._lock:
            self._curves.setdefault(run.run_id, {}).update(found)
            for side in self._arms:
                for number, trial in side.open.items():
                    if run.run_id in trial.run_ids and self._verdict(side, trial, run, epoch):
                        return f"trial {number} was pruned by {self.tuning.pruner} after epoch {epoch}"
        return None

    def retry(self, states: Sequence[str]) -> int:
        """Open failed trials again whose runs are in one of these states; how many."""
        with self._lock:
            count = 0
            for place, side in enumerate(self._arms):
                stored = self._store.trials([side.key]).get(side.key, ())
                failed = [trial for trial in stored if trial.state == "failed" and trial.run_ids]
                known = self._store.states([run_id for trial in failed for run_id in trial.run_ids])
                again = [t for t in failed if any(known[i].state in states for i in t.run_ids if i in known)]
                if again:
                    run_ids = [i for trial in again for i in trial.run_ids if known[i].state in states]
                    self._store.reopen_trials(side.key, [trial.number for trial in again])
                    self._store.requeue(run_ids, "its trial is tried again", self.key)
                    self._arms[place] = self._recalled(side.arm, side.key)
                    count += len(again)
            self._save()
            return count

    # Asking and telling ---------------------------------------------------------------------------------------------

    def _recalled(self, arm: Arm, key: str) -> _Arm:
        """An arm as the store knows it."""
        tuning = self.tuning
        trials = self._store.trials([key]).get(key, ())
        results = self._store.results([run_id for trial in trials for run_id in trial.run_ids])
        epochs = most_epochs(tuning.study, arm, tuning.space_of(arm))
        side = _Arm(arm, key, epochs, Asker(tuning, arm, key, epochs))
        curves = {run_id: run_curve(result, tuning.metric) for run_id, result in results.items()}
        self._curves.update(curves)
        side.asker.recall(trials, lambda trial: mean_curve([curves.get(run_id, {}) for run_id in trial.run_ids]))
        for trial in trials:
            is_open = trial.state == "running"
            side.costs[trial.number] = (
                Cost(epochs * len(tuning.seeds), open=True) if is_open else Cost(trial.epochs, trial.seconds)
            )
            side.ended += not is_open
            if trial.run_ids:
                side.runs[trial.number] = runs_of(tuning, arm, trial.params)
            if is_open:
                side.open[trial.number] = trial
            elif trial.state == "pruned":
                side.pruned.update(trial.run_ids)
        return side

    def _may_ask(self, side: _Arm) -> bool:
        next_epochs = side.epochs * len(self.tuning.seeds)
        return not side.asker.exhausted and may_ask(self.tuning.budget, side.costs.values(), next_epochs)

    def _ask(self, side: _Arm) -> None:
        """Ask for one trial of an arm, save it, queue its runs."""
        number, params = side.asker.ask()
        try:
            runs, error = runs_of(self.tuning, side.arm, params), None
        except CannotTrain as trouble:
            runs, error = (), str(trouble)
        trial = StoredTrial(
            side.key, number, self.tuning.study.name, self.tuning.study.profile, side.arm.name, params,
            side.asker.distributions, tuple(run.run_id for run in runs), side.ended,
        )  # fmt: skip
        if not self._store.add_trial(trial):
            self._arms[self._arms.index(side)] = self._recalled(side.arm, side.key)  # another asker was faster
            self._save()
            return
        side.open[number] = trial
        side.costs[number] = Cost(self._epochs(runs), open=True)
        if error is not None:
            self._end(side, number, End("failed", error=error), Cost(0))
            return
        side.runs[number] = runs
        self._save()
        strange = [run.run_id for run in runs if run.run_id not in side.pruned]
        states = self._store.states(strange)
        if stopped := [run_id for run_id, state in states.items() if state.state == "pruned"]:
            self._store.requeue(stopped, "pruned by another tuning, but requested by this one", self.key)
        self.found += sum(state.state == "done" for state in states.values())
        known = self._store.results([run_id for run_id, state in states.items() if state.state in ("done", "pruned")])
        self._curves.update((run_id, run_curve(result, self.tuning.metric)) for run_id, result in known.items())

    def _settle(self) -> None:
        """Tell every open trial that has ended."""
        open_ids = [run_id for side in self._arms for trial in side.open.values() for run_id in trial.run_ids]
        runs = [run for side in self._arms for number in side.open for run in side.runs.get(number, ())]
        parents = [run.parent for run in runs if run.parent]
        states = self._store.states([*open_ids, *parents])
        ended = [
            run_id for run_id in open_ids if run_id in states and states[run_id].state not in ("queued", "running")
        ]
        results = self._store.results(ended) if ended else {}
        for side in list(self._arms):
            for number, trial in list(side.open.items()):
                own = side.runs.get(number, ())
                end = self._end_of(trial, own, states, results)
                if end is None:
                    continue
                cost = cost_of(results, trial.run_ids, self._epochs(own))
                if end.state == "complete" and not cost.epochs:  # a script that told final numbers alone
                    cost = replace(cost, epochs=self._epochs(own))
                if not self._end(side, number, end, cost):
                    break

    def _end_of(
        self, trial: StoredTrial, runs: Sequence[Run], states: Mapping[str, RunState], results: Mapping[str, RunResult]
    ) -> End | None:
        if not trial.run_ids:  # the asker was killed before it could say that such a recipe cannot be
            return End("failed", error="its values conflict")
        parents = [states[run.parent].state for run in runs if run.parent is not None and run.parent in states]
        dead = [state for state in parents if state in DEAD]
        if dead:
            return End("failed", error=f"a run that it starts from is {dead[0]}")
        return end_of(trial.run_ids, states, results, self.tuning.metric)

    def _end(self, side: _Arm, number: int, end: End, cost: Cost) -> bool:
        """Save and tell how a trial ended; False where another asker did, and this arm was recalled."""
        ended = replace(
            side.open[number], state=end.state, value=end.value, error=end.error, epochs=cost.epochs,
            seconds=cost.seconds, attributes=side.asker.notes(number),
        )  # fmt: skip
        if not self._store.end_trial(ended):
            self._arms[self._arms.index(side)] = self._recalled(side.arm, side.key)
            return False
        del side.open[number]
        side.asker.tell(number, end.state, end.value)
        side.ended += 1
        side.costs[number] = cost
        if end.state == "pruned":
            side.pruned.update(ended.run_ids)
        return True

    def _verdict(self, side: _Arm, trial: StoredTrial, run: Run, epoch: int) -> bool:
        epochs, from_0 = self._epochs([run]), 0 in self._curves.get(run.run_id, {})  # as a script may count
        if epoch == epochs or (from_0 and epoch == epochs - 1):
            return False  # it ends here anyway
        curve = mean_curve([self._curves.get(run_id, {}) for run_id in trial.run_ids])
        reached = [at for at in curve if at <= epoch]  # all of them are told, whatever the first verdict is
        verdicts = [side.asker.judge(trial.number, at, curve[at]) for at in reached]
        return any(verdicts)

    def _epochs(self, runs: Sequence[Run]) -> int:
        """The epochs that these runs have in all; 0 where a script does not say."""
        said = (self.tuning.study.trainer or {}).get("epochs")
        return sum(epochs_of(run.recipe, said) or 0 for run in runs)

    def _waiting(self) -> int:
        """Runs that a worker has or can claim."""
        run_ids = {run_id for side in self._arms for trial in side.open.values() for run_id in trial.run_ids}
        states = self._store.states(run_ids)
        return sum(state.state in ("queued", "running") for state in states.values())

    # Saving ---------------------------------------------------------------------------------------------------------

    def _save(self) -> int:
        """Queue what is missing of the open trials' runs, under a study of the tuning's own; the key of its request.
        Whether every budget is spent is noted for commands that do not have the tuning's file."""
        study = self._study()
        self._over = self.over
        settings: dict[str, Any] = {"tune": self.tuning.file, "keep": study.keep, "set": list(self.tuning.sets)}
        settings |= {"over": self._over, **({"trainer": dict(study.trainer)} if study.trainer else {})}
        settings |= {"sources": self.sources} if self.sources else {}
        key = self._store.save_study(study, call_options=settings, requeue_pruned=False, join=True)
        self._prepare(study, key)
        return key

    def _study(self) -> Study:
        base = self.tuning.study
        arms: list[Arm] = []
        runs: dict[str, Run] = {}
        for side in self._arms:
            for number, own in sorted(side.runs.items()):
                name = f"{side.arm.name}#{number}"
                made = replace(side.arm, arm_id=own[0].arm_id, recipe=own[0].recipe, trainer=own[0].trainer)
                arms.append(replace(made, name=name, merged_into=None))
                runs.update((run.run_id, run) for run in own)
        return replace(
            base, name=self.name, arms=tuple(arms), runs=tuple(runs.values()), parents=parents_of(base, runs.values()),
            source=self.tuning.source, file=self.tuning.file, tables={}, seeds=self.tuning.seeds, warnings=(),
            sets=(), text=self._text,
        )  # fmt: skip
