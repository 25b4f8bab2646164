"""One arm's `optuna.Study`, in memory: it asks, judges and is told. The store holds the truth; this is built from it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from ablate.store.values import StoredTrial
from ablate.study.values.study import Arm
from ablate.study.values.trials import Tuning
from ablate.tuning.samplers import distribution, make_pruner, make_sampler, packed, unpacked

STATES = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED, "failed": TrialState.FAIL}
Curve = Mapping[int, float]


class Asker:
    """Belongs to one thread at a time. `epochs` is the most that one run can have."""

    def __init__(self, tuning: Tuning, arm: Arm, key: str, epochs: int) -> None:
        self._tuning = tuning
        self._space = {dimension.path: distribution(dimension) for dimension in tuning.space_of(arm)}
        self._cells = tuning.cells_of(arm) if tuning.sampler == "grid" else None
        self._live: dict[int, Trial] = {}
        self._doomed: set[int] = set()
        self._is_script = tuning.study.trainer is not None
        self._epochs = epochs
        self._first: int | None = None
        self._study = optuna.create_study(
            study_name=key,  # hyperband draws brackets from it
            direction="maximize" if tuning.better == "higher" else "minimize",
        )
        self._prune_from(1)

    def _prune_from(self, first: int) -> None:
        """hyperband has its brackets before anything is asked or judged: a sampler looks at one bracket alone."""
        self._study.pruner = make_pruner(self._tuning.pruner, self._epochs, first)
        self._study.pruner.prune(self._study, optuna.trial.create_trial(value=0.0))

    def _heard(self, epoch: int) -> None:
        """A script may count steps and tell every hundredth: hyperband compares from the first on that it told."""
        if self._is_script and self._first is None and epoch > 0:
            self._first = epoch
            self._prune_from(epoch)

    @property
    def asked(self) -> int:
        return len(self._study.get_trials(deepcopy=False))

    @property
    def exhausted(self) -> bool:
        """Whether every cell of a grid has been asked for."""
        return self._cells is not None and self.asked >= len(self._cells)

    @property
    def distributions(self) -> dict[str, Any]:
        return packed(self._space)

    def ask(self) -> tuple[int, dict[str, Any]]:
        """The next trial's number and values."""
        number = self.asked
        if self._cells is not None:
            self._study.enqueue_trial(self._cells[number])
        return number, self._begin(number)

    def _begin(self, number: int) -> dict[str, Any]:
        given = self._tuning.sampler, self._tuning.sampler_seed, number
        self._study.sampler = make_sampler(*given, rounds=self._is_script)
        trial = self._study.ask(fixed_distributions=self._space)
        self._live[number] = trial
        return dict(trial.params)

    def judge(self, number: int, epoch: int, value: float) -> bool:
        """Whether the trial should end after this epoch. An epoch that comes again, after a resumption, is not judged twice."""
        trial = self._live[number]
        if number in self._doomed:
            return True
        if epoch in self._frozen(number).intermediate_values:
            return False
        self._heard(epoch)
        trial.report(value, epoch)
        return bool(trial.should_prune())

    def tell(self, number: int, state: str, value: float | None) -> None:
        trial = self._live.pop(number)
        self._doomed.discard(number)
        if state == "complete":
            self._study.tell(trial, value)
        else:
            self._study.tell(trial, state=STATES[state])

    def notes(self, number: int) -> dict[str, Any]:
        """What the pruner noted of a trial: the values at which hyperband compared it."""
        attributes = self._frozen(number).system_attrs
        return {name: value for name, value in attributes.items() if name.startswith("completed_rung_")}

    def _frozen(self, number: int) -> FrozenTrial:
        return self._study.get_trials(deepcopy=False)[number]

    def recall(self, trials: Sequence[StoredTrial], curve_of: Callable[[StoredTrial], Curve]) -> None:
        """Become what an asker was that asked for these trials, in their order, and was told what is stored."""
        for trial in trials:
            self._heard(min((epoch for epoch in curve_of(trial) if epoch > 0), default=0))
        if self._tuning.sampler == "cmaes":
            self._replay(trials, curve_of)
            return
        for trial in trials:
            if trial.state == "running":
                self._again(trial, curve_of(trial))
            else:
                self._study.add_trial(_frozen(trial, curve_of(trial)))

    def _again(self, trial: StoredTrial, curve: Curve) -> None:
        """A trial that is still running, with the values it was given."""
        self._study.enqueue_trial(dict(trial.params))
        self._begin(trial.number)
        if self._tuning.sampler == "cmaes":
            _ = self._live[trial.number].relative_params  # worked out when it is looked at: CMA-ES moves on by that
        for epoch, value in sorted(curve.items()):
            if self.judge(trial.number, epoch, value):
                self._doomed.add(trial.number)  # its worker was killed before it could be told

    def _replay(self, trials: Sequence[StoredTrial], curve_of: Callable[[StoredTrial], Curve]) -> None:
        """CMA-ES keeps its state beside the trials it asked for, as a pickle that nobody should load from a database.

        So it is worked out once more: every trial is asked for with its own values, after as many tellings as then.
        """
        ended = sorted((trial for trial in trials if trial.told is not None), key=lambda trial: trial.told or 0)
        told = 0
        for trial in trials:
            while told < min(trial.seen, len(ended)) and ended[told].number < trial.number:
                self.tell(ended[told].number, ended[told].state, ended[told].value)
                told += 1
            self._again(trial, curve_of(trial))
        for trial in ended[told:]:
            self.tell(trial.number, trial.state, trial.value)


def _frozen(trial: StoredTrial, curve: Curve) -> FrozenTrial:
    return optuna.trial.create_trial(
        state=STATES[trial.state],
        value=trial.value,
        params=dict(trial.params),
        distributions=unpacked(trial.distributions),
        intermediate_values=dict(curve),
        system_attrs=dict(trial.attributes),
    )
