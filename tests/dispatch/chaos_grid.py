"""A grid on a real results database in a process of its own, to be killed: `chaos_grid.py URL HOME ROUND RUNS WORKERS`.

Saves the study as `grid run` does, works on it until nothing is left, and prints a line for each epoch recorded, each
attempt that ended and each worker that was replaced. Lines are long, so that a pipe holds few and the grid is never far
ahead of who reads them.
"""

from __future__ import annotations

import sys
from pathlib import Path

from toy_fits import CHAOS_EPOCHS

from ablate.dispatch.contract.events import EpochDone, RunEnded, WorkerReplaced
from ablate.dispatch.contract.executor import GridRequest
from ablate.dispatch.executors import get_executor
from ablate.store.store import Store
from ablate.study.recipes.digest import arm_id, run_id
from ablate.study.values.run import Run
from ablate.study.values.study import Arm, Study


def study_of(number: int, runs: int) -> Study:
    """The study of one round: `runs` runs that each train `toy_fits.CHAOS_EPOCHS` epochs."""
    recipe = {"act": "chaos", "round": number, "epochs": CHAOS_EPOCHS}
    arm = arm_id(recipe)
    return Study(
        name=f"chaos{number}", file="chaos.yaml", about="", cite={}, profile=None, factors=(), design="full", seeds=(0,),
        baseline={}, arms=(Arm("only", {}, arm, recipe),), excluded=(), arms_before=1, tables={},
        runs=tuple(Run(run_id(arm, seed), arm, seed, recipe) for seed in range(runs)), source="study: chaos\n",
    )  # fmt: skip


def main() -> int:
    url, home, number, runs, workers = sys.argv[1:]
    study = study_of(int(number), int(runs))

    def tell(event: object) -> None:
        if isinstance(event, EpochDone | RunEnded | WorkerReplaced):
            what = getattr(event, "state", "") or getattr(event, "reason", "")
            print(f"{type(event).__name__} {what}".ljust(1000), flush=True)

    with Store.open(url) as store:
        key = store.save_study(study, call_options={}, retry="lost")
    request = GridRequest(
        key,
        lambda: Store.open(url),
        "toy_fits:fit_chaos",
        Path(home),
        device="cpu",
        workers=int(workers),
        threads=1,
        on_event=tell,
        poll=0.05,
    )
    report = get_executor("local").run(request)
    for error in report.errors:
        print(f"error: {error}", file=sys.stderr)
    return report.exit_code


if __name__ == "__main__":
    sys.exit(main())
