"""Trainers for the tests of dispatch. What a run does is its recipe's `act`. No torch."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

from ablate.errors import BadData, Diverged, Interrupted, NoSpaceOrPermission, NotFound
from ablate.study.records import Artifact, Confusion, Context, EpochRecord, Outcome, Progress
from ablate.study.values.run import Run

IMPORTED_WITH = {name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "ABLATE_DB")}


class OutOfMemoryError(RuntimeError):
    """Named as torch names its own."""


def describe(run: Run, context: Context) -> tuple[dict[str, object], str]:
    return {"toy": run.seed, "imported_with": IMPORTED_WITH}, f"toy-{context.device}-{context.threads}"


def fit(run: Run, context: Context) -> Outcome:
    act = ACTS.get(run.recipe["act"], lambda run, context: None)
    act(run, context)
    for epoch in (1, 2):
        top1 = run.seed / 100 + epoch / 10
        context.on_progress(Progress(run.run_id, epoch, 2, epoch, 2, loss=1 - top1, top1=top1))
        context.on_epoch([EpochRecord(epoch, "val", {"top1": top1})])
    return Outcome(
        {"top1": run.seed / 100 + 0.2},
        confusions=(Confusion("val", "last", ("a", "b"), ((1, 0), (2, 3))),),
        artifacts=(Artifact("checkpoint", "last.pt", 3, "0" * 64),),
        details={"pid": os.getpid(), "options": dict(context.options), "parent": str(context.parent_dir)},
    )


def fail_with(error: BaseException) -> object:
    def act(run: Run, context: Context) -> None:
        raise error

    return act


def kill(run: Run, context: Context) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def kill_once(run: Run, context: Context) -> None:
    marker = context.run_dir / "was-here"
    if not marker.exists():
        marker.touch()
        context.on_epoch([EpochRecord(1, "val", {"top1": 0.0})])
        kill(run, context)


def until_told(run: Run, context: Context) -> None:
    """Says that it runs, then works until it is told to checkpoint."""
    context.on_epoch([EpochRecord(1, "val", {"top1": 0.0})])
    pause = threading.Event()
    while not context.should_stop():
        pause.wait(0.005)
    (context.run_dir / "checkpoint").write_text(str(context.should_stop()))
    raise Interrupted(context.should_stop())


def until_told_once(run: Run, context: Context) -> None:
    """Works until it is told to checkpoint; started again, it goes on from there to its end."""
    if not (context.run_dir / "checkpoint").exists():
        until_told(run, context)


def stubborn(run: Run, context: Context) -> None:
    """Says that it runs, starts a program, then never looks up again."""
    program = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    (context.run_dir / "pids").write_text(f"{os.getpid()} {os.getppid()} {program.pid}")
    context.on_epoch([EpochRecord(1, "val", {"top1": 0.0})])
    threading.Event().wait(60)


def deaf(run: Run, context: Context) -> None:
    """As stubborn, in a C function that never lets another Python thread run."""
    program = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    (context.run_dir / "pids").write_text(f"{os.getpid()} {os.getppid()} {program.pid}")
    context.on_epoch([EpochRecord(1, "val", {"top1": 0.0})])
    ctypes.PyDLL(None).pause()


def loses_its_lease(run: Run, context: Context) -> None:
    """The test takes the run away when it sees this epoch; the next one is refused."""
    context.on_epoch([EpochRecord(1, "val", {"top1": 0.0})])


def waits_for_file(run: Run, context: Context) -> None:
    pause = threading.Event()
    while not Path(run.recipe["file"]).exists() and not context.should_stop():
        pause.wait(0.005)


def talk(run: Run, context: Context) -> None:
    print("to stdout", flush=True)
    print("to stderr", file=sys.stderr)
    os.write(1, b"from below\n")


def flood(run: Run, context: Context) -> None:
    line = b"x" * 1023 + b"\n"
    for _ in range(12 << 10):
        os.write(1, line)
    os.write(1, b"the end\n")


def token_in_error(run: Run, context: Context) -> None:
    raise RuntimeError(f"cannot reach https://me:hunter22@example.org with {os.environ['TOY_TOKEN']}")


def garbles(run: Run, context: Context) -> None:
    """Writes into a descriptor that is not its own: the one that its process talks to the grid with."""
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            if stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                os.write(int(name), b"rubbish\n")


def garbles_once(run: Run, context: Context) -> None:
    marker = context.run_dir / "was-here"
    if not marker.exists():
        marker.touch()
        garbles(run, context)


def unlike_json(run: Run, context: Context) -> None:
    context.on_epoch([EpochRecord(1, "val", {"top1": "very good"})])  # type: ignore[dict-item]


ACTS = {
    "raise": fail_with(ValueError("no such thing")),
    "diverge": fail_with(Diverged("the loss is nan at step 3")),
    "bad_data": fail_with(BadData("cat/1.jpg cannot be decoded")),
    "missing": fail_with(NotFound("caltech101 is not in the data folder; fetch it with `ablate data fetch`")),
    "no_space": fail_with(NoSpaceOrPermission("the disk is full: 3 bytes free")),
    "enospc": fail_with(OSError(errno.ENOSPC, "No space left on device", "checkpoint.pt")),
    "oom": fail_with(OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")),
    "device_fault": fail_with(RuntimeError("CUDA error: device-side assert triggered")),
    "exit": lambda run, context: sys.exit(7),
    "hard_exit": lambda run, context: os._exit(9),
    "kill": kill,
    "kill_once": kill_once,
    "until_told": until_told,
    "until_told_once": until_told_once,
    "stubborn": stubborn,
    "deaf": deaf,
    "loses_its_lease": loses_its_lease,
    "waits_for_file": waits_for_file,
    "talk": talk,
    "flood": flood,
    "token_in_error": token_in_error,
    "garbles": garbles,
    "garbles_once": garbles_once,
    "unlike_json": unlike_json,
}


CHAOS_EPOCHS = 4


def fit_chaos(run: Run, context: Context) -> Outcome:
    """A training to be killed: it goes on after the last epoch that its checkpoint names, as a real one does.

    Each epoch's `loss` follows from the seed and the epoch alone, `start` counts how often this run was begun.
    """
    start = _counted(context.run_dir / "starts")
    checkpoint = context.run_dir / "checkpoint"
    first = int(checkpoint.read_text()) + 1 if checkpoint.exists() else 1
    for epoch in range(first, CHAOS_EPOCHS + 1):
        context.on_epoch(
            [EpochRecord(epoch, split, chaos_metrics(run.seed, epoch, start)) for split in ("train", "val")]
        )
        _replace(checkpoint, str(epoch))
    return Outcome({"loss": chaos_metrics(run.seed, CHAOS_EPOCHS, start)["loss"]})


def chaos_metrics(seed: int, epoch: int, start: int) -> dict[str, float]:
    return {"loss": 1 / (1 + seed + epoch), "start": float(start)}


def _counted(path: Path) -> int:
    number = int(path.read_text()) + 1 if path.exists() else 1
    _replace(path, str(number))
    return number


def _replace(path: Path, text: str) -> None:
    path.with_suffix(".new").write_text(text)
    path.with_suffix(".new").replace(path)


def not_an_outcome(run: Run, context: Context) -> dict[str, float]:
    return {"top1": 1.0}


def not_json(run: Run, context: Context) -> Outcome:
    return Outcome({"top1": 1.0}, details={"path": Path("x")})
