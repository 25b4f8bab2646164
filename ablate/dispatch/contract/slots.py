"""Slots: how many workers at once, on which device, with how many threads each.

Threads are cores / slots, always: on two cores, two workers of two threads each ran 2.5 to 7 times slower than two of
one thread, while packing two workers gained next to nothing over one that has both cores. So a CPU gets one slot
unless `--workers` says otherwise, and a GPU one slot each. torch is not imported to find this out.

Where a study says what one run takes (`resources`), there are as many slots as fit by each of its amounts.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ablate.dispatch.contract.room import Room, usable_cores
from ablate.errors import UsageError
from ablate.study.values.resources import UNSAID, Resources

_DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d+)?")
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
_DEVICE_FILES = Path("/dev")


@dataclass(frozen=True)
class Gpu:
    """A GPU that this process may use. `pin` is its `CUDA_VISIBLE_DEVICES` (index or UUID), `index` counts from 0."""

    index: int
    pin: str


@dataclass(frozen=True)
class Slot:
    """A place for one worker. `device` is what the trainer is told, `label` what people and the store are.

    `environment` is set before the worker process starts, as libraries read thread counts and visible GPUs once.
    """

    number: int
    device: str
    label: str
    threads: int
    environment: Mapping[str, str] = field(default_factory=dict)


def plan_slots(
    device: str = "auto",
    workers: int | None = None,
    threads: int | None = None,
    *,
    cores: int | None = None,
    gpus: Sequence[Gpu] | None = None,
    memory: int | None = None,
    needs: Resources = UNSAID,
    granted: bool = False,
) -> tuple[Slot, ...]:
    """The slots for what was asked for. Raises UsageError for a device that is unknown or not there, and where not even one run
    of such `needs` fits.

    `cores`, `gpus` and `memory` (bytes) are looked up where they are not given. Workers beyond the number of GPUs share them in
    turn, unless a run needs GPUs of its own. `granted`: a scheduler made this place for at least one run, and has counted memory.
    """
    if not _DEVICE.fullmatch(device):
        raise UsageError(f"unknown device {device!r}; allowed: auto, cpu, mps, cuda, cuda:0, cuda:1 and so on")
    if needs.gpus == 0 and device == "auto":
        device = "cpu"
    cores = usable_cores() if cores is None else cores
    chosen = _chosen(device, gpus)
    room = Room(len(chosen), cores, memory, device)
    count = room.count(needs, workers, granted=granted) if needs else workers or max(1, len(chosen))
    each = threads or needs.cpus or max(1, cores // count)
    base = dict.fromkeys(_THREAD_VARIABLES, str(each))
    kind = "cpu" if device == "auto" else device
    unpinned = {**base, "CUDA_VISIBLE_DEVICES": ""} if needs.gpus == 0 else base
    return tuple(
        _pinned(number, _own(chosen, number, needs.gpus), each, base)
        if chosen
        else Slot(number, kind, kind, each, unpinned)
        for number in range(count)
    )


def _own(gpus: Sequence[Gpu], number: int, needed: int | None) -> Sequence[Gpu]:
    """The GPUs of a slot: the next so many; where it was not said how many, one, in turn."""
    first = number * needed if needed else number % len(gpus)
    return gpus[first : first + (needed or 1)]


def _pinned(number: int, gpus: Sequence[Gpu], threads: int, base: Mapping[str, str]) -> Slot:
    pinned = {**base, "CUDA_VISIBLE_DEVICES": ",".join(gpu.pin for gpu in gpus)}
    if all(gpu.pin.isdigit() for gpu in gpus) and "CUDA_VISIBLE_DEVICES" not in os.environ:
        pinned["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
    label = ",".join(str(gpu.index) for gpu in gpus)
    return Slot(number, "cuda:0", f"cuda:{label}", threads, pinned)


def crowded(slots: Sequence[Slot], load: float | None = None, cores: int | None = None) -> str:
    """A sentence where other programs want so much of this machine that the threads of one run would wait for each other.

    With a load of 5 on 2 cores, a run of two threads was seen to take twelve times as long as one of a single thread.
    """
    load = machine_load() if load is None else load
    cores = usable_cores() if cores is None else cores
    if load <= cores / 2 or not any(slot.threads > 1 and slot.device == "cpu" for slot in slots):
        return ""
    return (
        f"this machine is busy (load {load:.1f} on {cores} cores), and the threads of one run wait for each other there: "
        "with --threads 1 it may be many times as fast."
    )


def machine_load() -> float:
    """Programs that want a core, mean over a minute; 0 where the system does not say."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def visible_gpus(environment: Mapping[str, str] | None = None) -> tuple[Gpu, ...]:
    """The GPUs that `CUDA_VISIBLE_DEVICES` leaves of those that the driver lists; none without a driver."""
    environment = os.environ if environment is None else environment
    listed = _driver_lists(environment.get("PATH"))
    wanted = environment.get("CUDA_VISIBLE_DEVICES")
    if not listed or wanted is None:
        return tuple(Gpu(index, pin) for index, pin in enumerate(listed))
    pins = []
    for pin in (part.strip() for part in wanted.split(",")):
        if not pin or pin.startswith("-") or (pin.isdigit() and int(pin) >= len(listed)):
            break  # as CUDA does: the first entry that means nothing ends the list
        pins.append(pin)
    return tuple(Gpu(index, pin) for index, pin in enumerate(pins))


def _chosen(device: str, gpus: Sequence[Gpu] | None) -> Sequence[Gpu]:
    if device in ("cpu", "mps"):
        return ()
    gpus = visible_gpus() if gpus is None else gpus
    if device == "auto":
        return gpus
    if not gpus:
        raise UsageError(f"--device {device}: no CUDA GPU is visible here; allowed: auto, cpu")
    if device == "cuda":
        return gpus
    index = int(device.partition(":")[2])
    if index >= len(gpus):
        known = ", ".join(f"cuda:{gpu.index}" for gpu in gpus)
        raise UsageError(f"--device {device}: there is no such GPU; visible: {known}")
    return (gpus[index],)


def _driver_lists(path: str | None) -> list[str]:
    """Indices of all GPUs of this host, by nvidia-smi or, where a container lacks it, by the device files."""
    tool = shutil.which("nvidia-smi", path=path)
    if tool is not None:
        try:
            query = [tool, "--query-gpu=index", "--format=csv,noheader"]
            answer = subprocess.run(query, capture_output=True, text=True, timeout=30, check=False)
            if answer.returncode == 0:
                return [line.strip() for line in answer.stdout.splitlines() if line.strip().isdigit()]
        except (OSError, subprocess.TimeoutExpired):
            pass
    found = len(list(_DEVICE_FILES.glob("nvidia[0-9]*")))
    return [str(index) for index in range(found)]
