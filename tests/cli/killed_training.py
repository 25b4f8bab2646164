"""A grid of one process that is killed by SIGKILL in the middle of anything: `killed_training.py STUDY FOLDER`.

Trains the study in FOLDER/undisturbed, then in FOLDER/killed, where one process after the other dies at the next of
PLACES: between two lines of a step, of a commit, of the write of a checkpoint. Each process is a fork of this one, which
has imported all that is needed and has not used it, so a start costs little. Prints a JSON line a process: how it ended.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import alembic.command  # noqa: F401
import sklearn.datasets  # noqa: F401

from ablate.dispatch.contract.executor import GridRequest
from ablate.dispatch.processes.inline import InlineExecutor
from ablate.store import transitions
from ablate.store.store import Store
from ablate.study.loader import load

transitions.MAX_LOST = 1000

PLACES = (
    # ends of a training: before and within what is written last, and before it is recorded
    ("checkpoint.save_weights", 1, 0), ("checkpoint.save_weights", 2, 40), ("checkpoint.write_text", 1, 0),
    ("checkpoint.delete_checkpoints", 1, 6), ("recorder.finish", 1, 0), ("recorder.finish", 1, 300),
    # starts
    ("queue._claim", 1, 0), ("queue._claim", 1, 400), ("session.prepare", 1, 0), ("session._resume", 1, 0),
    # the first checkpoint, half written and just renamed
    ("checkpoint._HashingFile.write", 5, 0), ("checkpoint._sync_folder", 1, 0),
    # within steps and between them, from the checkpoint of the process before
    ("loop.Loop._step", 2, 0), ("loop.Loop._step", 2, 60), ("loop.Loop._count", 2, 0), ("checkpoint._sync_folder", 2, 0),
    ("checkpoint._remove", 1, 0), ("recorder.record_epoch", 1, 0), ("recorder.record_epoch", 1, 200), ("loop.Loop.evaluate", 1, 80),
)  # fmt: skip
"""Where each process dies: at the n-th call of a function in this process, and so many calls of any function later."""


class Killer:
    """Ends the process by SIGKILL at a place, whatever the machine's speed: only the training thread's calls count."""

    def __init__(self, name: str, number: int, later: int) -> None:
        module, _, self.function = name.partition(".")
        self.file, self.number, self.later = f"/{module}.py", number, later
        sys.setprofile(self.count)

    def count(self, frame: Any, event: str, argument: Any) -> None:
        if event != "call":
            return
        code = frame.f_code
        if self.number:
            self.number -= code.co_qualname == self.function and code.co_filename.endswith(self.file)
        else:
            self.later -= 1
        if not self.number and self.later <= 0:
            os.kill(os.getpid(), signal.SIGKILL)


def work(study: Path, folder: Path) -> int:
    """As `ablate grid run STUDY --executor inline` does it."""
    loaded, url, home = load(study), f"sqlite:///{folder / 'results.db'}", folder / "home"
    with Store.open(url) as store:
        key = store.save_study(loaded, call_options={})
    request = GridRequest(
        key, lambda: Store.open(url), "ablate.training.trainer:fit", home, device="cpu", threads=1,
        options={"keep": "all", "checkpoint_seconds": 0, "home": str(home), "data_root": str(folder)},
    )  # fmt: skip
    report = InlineExecutor().run(request)
    for error in report.errors:
        print(error, file=sys.stderr)
    return report.exit_code


def in_a_process(study: Path, folder: Path, place: tuple[str, int, int] | None) -> int:
    """How it ended: its exit code, or minus the signal that killed it."""
    child = os.fork()
    if not child:
        if place is not None:
            Killer(*place)
        code = work(study, folder)
        sys.setprofile(None)
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main() -> None:
    study, folder = Path(sys.argv[1]), Path(sys.argv[2])
    for name, places in (("undisturbed", (None,)), ("killed", (*PLACES, None))):
        (folder / name).mkdir()
        for place in places:
            print(json.dumps([name, in_a_process(study, folder / name, place)]), flush=True)


if __name__ == "__main__":
    main()
