"""A grid of one process that is killed by SIGKILL in the middle of anything: `killed_training.py STUDY FOLDER KILLS`.

Trains the study in FOLDER/undisturbed, then in FOLDER/killed, where the first KILLS processes end at a call of a Python
function that was drawn: between two lines of a step, of a commit, of the write of a checkpoint. Each process is a fork of
this one, which has imported all that is needed and has not used it, so a start costs little. Prints a JSON line a process: how it ended.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
from pathlib import Path
from typing import Any

import alembic.command  # noqa: F401
import sklearn.datasets  # noqa: F401

from ablate.dispatch.executor import GridRequest
from ablate.dispatch.inline import InlineExecutor
from ablate.store import transitions
from ablate.store.store import Store
from ablate.study.loader import load
from ablate.training import trainer

transitions.MAX_LOST = 1000
STEP = 3500
"""About as many calls as a step makes with its checkpoint; a kill comes within three of them."""


class Killer:
    """Ends the process at the n-th call that the training thread makes: from its start on, or from the first step on."""

    def __init__(self, draw: random.Random) -> None:
        self.left = draw.randrange(3 * STEP)
        if draw.random() < 0.75:
            poll = trainer._Trainer._poll

            def first(one: Any) -> None:
                trainer._Trainer._poll = poll  # type: ignore[method-assign]
                sys.setprofile(self.count)

            trainer._Trainer._poll = first  # type: ignore[method-assign]
        else:
            self.left *= 5
            sys.setprofile(self.count)

    def count(self, frame: Any, event: str, argument: Any) -> None:
        if event == "call":
            self.left -= 1
            if self.left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)


def work(study: Path, folder: Path) -> int:
    """As `ablate grid run STUDY --executor inline` does it."""
    loaded, url, home = load(study), f"sqlite:///{folder / 'results.db'}", folder / "home"
    with Store.open(url) as store:
        key = store.save_study(loaded, settings={})
    request = GridRequest(
        key, lambda: Store.open(url), "ablate.training.trainer:fit", home, device="cpu", threads=1,
        options={"keep": "all", "checkpoint_seconds": 0, "home": str(home), "data_root": str(folder)},
    )  # fmt: skip
    report = InlineExecutor().run(request)
    for error in report.errors:
        print(error, file=sys.stderr)
    return report.exit_code


def in_a_process(study: Path, folder: Path, draw: random.Random | None) -> int:
    """How it ended: its exit code, or minus the signal that killed it."""
    child = os.fork()
    if not child:
        if draw is not None:
            Killer(draw)
        code = work(study, folder)
        sys.setprofile(None)
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main() -> None:
    study, folder, kills = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    for name, starts in (("undisturbed", 0), ("killed", kills)):
        (folder / name).mkdir()
        for start in range(starts + 1):
            draw = random.Random(start) if start < starts else None
            print(json.dumps([name, in_a_process(study, folder / name, draw)]), flush=True)


if __name__ == "__main__":
    main()
