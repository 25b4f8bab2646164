"""What there is on this host, and how many runs fit into it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from ablate.errors import UsageError
from ablate.study.values.resources import Resources, counted, memory_text

_CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")
_MEMORY_LIMIT = Path("/sys/fs/cgroup/memory.max")


@dataclass(frozen=True)
class Room:
    """GPUs, cores and bytes of memory that runs may have here; memory is looked up where it is None. `device` is as asked for."""

    gpus: int
    cores: int
    memory: int | None = None
    device: str = "auto"

    def count(self, needs: Resources, workers: int | None = None, *, granted: bool = False) -> int:
        """How many runs fit at a time: the fewest by each amount that a run needs, and at most `workers`.

        Raises UsageError where not even one fits; with `granted` one always does, and memory is not looked at.
        """
        fits = {name: there // needed for name, (needed, there, _) in self._amounts(needs, granted).items()}
        if not granted and (short := [name for name, fit in fits.items() if not fit]):
            raise UsageError(self._short(needs, short), code="does-not-fit")
        return max(1, min([*fits.values(), *self._usual(needs, workers)]))

    def _usual(self, needs: Resources, workers: int | None) -> list[int]:
        """What is asked for; else one run a GPU, or a single one where nothing says how many cores it takes."""
        if workers is not None:
            return [workers]
        return [] if needs.gpus else [self.gpus] if self.gpus else [] if needs.cpus else [1]

    def _amounts(self, needs: Resources, granted: bool) -> dict[str, tuple[int, int, str]]:
        """(needed, there, what there is in words) of each amount that a run needs any of."""
        found: dict[str, tuple[int, int, str]] = {}
        if needs.gpus:
            where = "" if self.device == "auto" else f" (--device {self.device})"
            found["gpus"] = needs.gpus, self.gpus, f"{counted(self.gpus, 'GPU') if self.gpus else 'no GPU'}{where}"
        if needs.cpus:
            found["cpus"] = needs.cpus, self.cores, counted(self.cores, "core")
        if needs.memory and not granted:
            memory = usable_memory() if self.memory is None else self.memory
            found["memory"] = needs.memory, memory, f"{memory_text(memory)} of memory"
        return found

    def _short(self, needs: Resources, short: list[str]) -> str:
        amounts = self._amounts(needs, False)
        there = ", ".join(amounts[name][2] for name in short)
        keys = ", ".join(f"resources.{name}" for name in short)
        return (
            f"a run takes {needs}, and this host has {there}: none fits ({keys}). Use a larger machine or a cluster (--executor slurm), "
            "or a profile whose `resources` ask for less."
        )


def usable_cores(quota: Path = _CPU_QUOTA) -> int:
    """Cores that this process may use: its affinity mask, and a container's quota where that is smaller."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        most, period = quota.read_text().split()
        cores = min(cores, max(1, int(most) // int(period)))
    except (OSError, ValueError):  # no cgroup, or "max": no quota
        pass
    return cores


def usable_memory(limit: Path = _MEMORY_LIMIT) -> int:
    """Bytes of memory of this host, and of its container where that has a lower limit. Not what is free at the moment."""
    there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    try:
        return min(there, int(limit.read_text()))
    except (OSError, ValueError):  # no cgroup, or "max": no limit
        return there
