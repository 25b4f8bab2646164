"""The checks of `ablate doctor`: torch and the driver, disks, clocks, limits. Each gives findings with advice.

What the machine answers is an argument, so that tests can give another answer.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ablate.dispatch.executors import ENGINES
from ablate.parts.discover import Broken

OK, WARNING, ERROR = "ok", "warning", "error"
GB = 1e9
NEEDED_GB = 5
NEEDED_FOR_RESULTS_GB = 1
SHARED_MEMORY_GB = 0.25
OPEN_FILES = 1024
SKEW_SECONDS = 5.0
_PROBE = """
import json
said = {}
try:
    import torch, torchvision
    said = {"torch": torch.__version__, "torchvision": torchvision.__version__, "cuda": torch.version.cuda}
    said["devices"] = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
except Exception as error:
    said["error"] = f"{type(error).__name__}: {error}"
print(json.dumps(said))
"""


@dataclass(frozen=True)
class Finding:
    """One thing looked at: `level` is ok, warning or error; `advice` says what to do."""

    what: str
    level: str
    found: str
    advice: str = ""


@dataclass(frozen=True)
class Driver:
    """What nvidia-smi says: `cuda` is the newest CUDA version that the driver offers, as (12, 4)."""

    version: str
    cuda: tuple[int, ...] | None
    gpus: tuple[str, ...]


def ask_torch() -> dict[str, Any]:
    """torch, torchvision, the CUDA that torch was built for, the GPUs it sees; or `error`. In a process of its own."""
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", _PROBE], capture_output=True, text=True, timeout=300, check=False
        )
        said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return said
    except (OSError, subprocess.TimeoutExpired, ValueError, IndexError) as error:
        return {"error": f"{type(error).__name__}: importing it crashes or takes minutes"}


def ask_driver(tool: str = "nvidia-smi") -> Driver | None:
    """None where there is no NVIDIA driver that answers."""
    path = shutil.which(tool)
    if path is None:
        return None
    query = [path, "--query-gpu=driver_version,name", "--format=csv,noheader"]
    try:
        listed = subprocess.run(query, capture_output=True, text=True, timeout=60, check=False)
        shown = subprocess.run([path], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = [line.partition(",") for line in listed.stdout.splitlines() if "," in line]
    if listed.returncode or not lines:
        return None
    cuda = re.search(r"CUDA Version:\s*(\d+(?:\.\d+)*)", shown.stdout)
    return Driver(lines[0][0].strip(), _version(cuda[1]) if cuda else None, tuple(name.strip() for *_, name in lines))


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))


def torch_and_driver(said: Mapping[str, Any], driver: Driver | None, visible: str | None) -> Iterator[Finding]:
    """`said` as from `ask_torch`; `visible` is CUDA_VISIBLE_DEVICES."""
    if "error" in said:
        advice = "Install torch and torchvision of matching versions."
        yield Finding("torch", ERROR, f"cannot be imported: {said['error']}", advice)
        return
    built = f"built for CUDA {said['cuda']}" if said["cuda"] else "built for the CPU"
    yield Finding("torch", OK, f"{said['torch']}, torchvision {said['torchvision']}, {built}")
    if driver is None and not said["devices"]:
        yield Finding("cuda", OK, "no GPU; runs use the CPU")
        return
    offers = ".".join(map(str, driver.cuda)) if driver and driver.cuda else ""
    if driver is not None:
        yield Finding("driver", OK, f"NVIDIA {driver.version}{f', up to CUDA {offers}' if offers else ''}")
    for index, name in enumerate(said["devices"]):
        yield Finding(f"cuda:{index}", OK, name)
    if not said["devices"] and driver is not None:
        yield Finding("cuda", WARNING, f"torch sees none of {len(driver.gpus)} GPUs ({driver.gpus[0]})",
                      _why_none(said["cuda"], driver, offers, visible))  # fmt: skip


def _why_none(built: str | None, driver: Driver, offers: str, visible: str | None) -> str:
    if built is None:
        upto = f" of CUDA {offers} or older" if offers else ""
        return f"This torch was built without CUDA: install a build{upto} (pytorch.org says how)."
    if driver.cuda and _version(built)[:1] > driver.cuda[:1]:
        return (
            f"This torch was built for CUDA {built} and the driver offers {offers} at most: update the driver, or install "
            f"a torch of CUDA {offers} or older."
        )
    if visible is not None:
        return f"CUDA_VISIBLE_DEVICES is {visible!r}: unset it, or name a GPU of nvidia-smi's list."
    return "Check nvidia-smi. Reboot after a driver update; a container needs the NVIDIA runtime."


def extras(version: Callable[[str], str] = importlib.metadata.version) -> Iterator[Finding]:
    for engine in ENGINES.all().values():
        for name, wanted in engine.packages.items():
            yield _extra(name, wanted, f"the executor {engine.name}", version)
    yield _extra("psycopg", "ablate-studies[postgres]", "results in PostgreSQL", version)


def namesake(version: Callable[[str], str] = importlib.metadata.version) -> Iterator[Finding]:
    """Another distribution is called `ablate`, and its package is, too. Ours was called so before it was `ablate-studies`."""
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        yield Finding(
            "ablate", WARNING, f"the distribution ablate {version('ablate')} is installed beside ablate-studies; both install "
            "a package `ablate`, each over the files of the other",
            "Remove both, then install ours again: pip uninstall ablate ablate-studies; pip install ablate-studies (in a "
            "checkout: pip install -e .).",
        )  # fmt: skip


def _extra(name: str, wanted: str, purpose: str, version: Callable[[str], str]) -> Finding:
    try:
        return Finding(name, OK, version(name))
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, OK, "not installed", f"Needed for {purpose} only: pip install '{wanted}'")


def programs(which: Callable[[str], str | None] = shutil.which) -> Iterator[Finding]:
    """What engines start on this host, of those that may be used here at all."""
    for engine in ENGINES.all().values():
        missing = [name for name in engine.programs if which(name) is None]
        if missing and len(missing) < len(engine.programs):
            advice = f"Needed only for the executor {engine.name}: all of {', '.join(engine.programs)} must be on PATH."
            yield Finding(engine.name, WARNING, f"no {', '.join(missing)} on this host", advice)


def declarations(broken: Iterable[Broken]) -> Iterator[Finding]:
    """Executors, formats and parts that were found and cannot be used."""
    for one in broken:
        yield Finding(one.name, WARNING, str(one), "Fix, update or uninstall the package that it comes from.")


def disk(
    name: str,
    folder: Path,
    needed_gb: float,
    free: Callable[[Path], float] = lambda place: shutil.disk_usage(place).free,
) -> Finding:
    """Space where `folder` lies or will lie."""
    free_gb = free(existing(folder)) / GB
    state = f"{folder}{'' if folder.exists() else ' (not there yet)'}, {free_gb:.0f} GB free"
    if free_gb < needed_gb:
        return Finding(
            name, WARNING, state, f"Less than {needed_gb:g} GB: free some space, or move {name} to a larger disk."
        )
    return Finding(name, OK, state)


def existing(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    absolute = folder.absolute()
    return next(path for path in (absolute, *absolute.parents) if path.exists())


def _network(folder: Path, mountinfo: str | None) -> str | None:
    """The type of the file system where `folder` lies or will lie, if it is a network's."""
    from ablate.store.location import NETWORK, file_system  # imports SQLAlchemy: slow

    kind = file_system(existing(folder).resolve(), mountinfo)
    return kind if kind in NETWORK else None


def network_home(folder: Path, mountinfo: str | None = None) -> Iterator[Finding]:
    kind = _network(folder, mountinfo)
    if kind is not None:
        yield Finding(
            "ABLATE_HOME", WARNING, f"{folder} lies on a network file system ({kind})",
            "Decoded data is read from it at each step and checkpoints are written to it, so a local disk is faster. "
            "Workers on several hosts need to share it only if a run starts from another run's weights.",
        )  # fmt: skip


def network_database(path: Path, mountinfo: str | None = None) -> Iterator[Finding]:
    kind = _network(path.parent, mountinfo)
    if kind is not None:
        yield Finding(
            "database", ERROR, f"{path} lies on a network file system ({kind}), where SQLite can lose results",
            "Use a local disk (set ABLATE_DB), or PostgreSQL: ABLATE_DB=postgresql+psycopg://user:password@host/name.",
        )  # fmt: skip


def clock(name: str, theirs: float, ours: float | None = None) -> Finding:
    """The clock of a database or a file server against this machine's; POSIX seconds."""
    skew = (time.time() if ours is None else ours) - theirs
    if abs(skew) <= SKEW_SECONDS:
        return Finding(name, OK, f"agrees with this machine's within {SKEW_SECONDS:g} s")
    where = "ahead of" if skew > 0 else "behind"
    return Finding(
        name, WARNING, f"this machine's clock is {abs(skew):.0f} s {where} it",
        "Set this machine's clock (chronyd, systemd-timesyncd). Leases use the database's clock, so no run is lost, "
        "but times of runs and ages of files are wrong.",
    )  # fmt: skip


def server_time(folder: Path) -> float | None:
    """What time the file system gives to a file that is written now; None where none can be. The file is gone again."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"x")
            file.flush()
            return os.fstat(file.fileno()).st_mtime
    except OSError:
        return None


def shared_memory(
    folder: Path = Path("/dev/shm"), size: Callable[[Path], float] = lambda place: shutil.disk_usage(place).total
) -> Iterator[Finding]:
    """Containers come with 64 MB, which ends Ray and data loaders with a bus error."""
    if not folder.is_dir():
        return
    total = size(folder) / GB
    if total < SHARED_MEMORY_GB:
        advice = "Ray and multi-process data loaders need more: docker run --shm-size=2g, or --ipc=host."
        yield Finding("shared memory", WARNING, f"{folder} holds {total * 1000:.0f} MB", advice)
    else:
        yield Finding("shared memory", OK, f"{folder} holds {total:.1f} GB")


def open_files(limit: int | None = None) -> Finding:
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0] if limit is None else limit
    shown = "no limit" if soft == resource.RLIM_INFINITY else f"{soft} at a time"
    if soft != resource.RLIM_INFINITY and soft < OPEN_FILES:
        advice = f"Many workers, or Ray, need more: ulimit -n {4 * OPEN_FILES} in the shell that starts ablate."
        return Finding("open files", WARNING, shown, advice)
    return Finding("open files", OK, shown)


def leases(lapsed: Mapping[str, str]) -> Iterator[Finding]:
    """`lapsed` as `Store.lapsed` gives it."""
    if lapsed:
        run_id, why = next(iter(lapsed.items()))
        one = len(lapsed) == 1
        count = (
            "1 run is marked running but its worker is"
            if one
            else f"{len(lapsed)} runs are marked running but their workers are"
        )
        yield Finding(
            "leases", WARNING, f"{count} gone: {run_id[:12]}, {why}",
            "Nothing is lost: the next ablate grid run of the study continues from the last checkpoint.",
        )  # fmt: skip
