"""What trials cost, and whether an arm may ask for another one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ablate.study.values.trials import Budget


@dataclass(frozen=True)
class Cost:
    """Of one trial: epochs and seconds of training over all of its runs. An open trial's epochs are those it may still take.

    A trial that found its runs done already costs what they cost: a budget buys the same trials on every database.
    """

    epochs: int
    seconds: float = 0.0
    open: bool = False


def may_ask(budget: Budget, costs: Iterable[Cost], next_epochs: int) -> bool:
    """Whether another trial, of `next_epochs` at most, fits.

    Epochs are set aside before a trial starts, so that they are never exceeded. Minutes are only known afterwards: the
    trials that are running when they are over still end. A trial costs an epoch and a second at least, or a trainer that
    fails at once would be asked for ever.
    """
    known = list(costs)
    if budget.kind == "trials":
        return len(known) < budget.amount
    if budget.kind == "epochs":
        return sum(max(1, cost.epochs) for cost in known) + next_epochs <= budget.amount
    return sum(max(1.0, cost.seconds) for cost in known if not cost.open) < 60 * budget.amount
