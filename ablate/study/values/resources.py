"""What one run takes of a machine, as a study declares it: counted where runs are placed, never enforced."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass

_MEMORY = re.compile(r"(\d+(?:\.\d+)?) ?([MGT])(?:i?B)?")
_UNITS = {"M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_MAX_MEMORY = 1 << 50


@dataclass(frozen=True)
class Resources:
    """GPUs, cores and bytes of memory of one run; None where the study does not say."""

    gpus: int | None = None
    cpus: int | None = None
    memory: int | None = None

    def __bool__(self) -> bool:
        return any(amount is not None for amount in (self.gpus, self.cpus, self.memory))

    def __str__(self) -> str:
        """`2 GPUs, 8 cores, 20G of memory`."""
        said = [counted(self.gpus, "GPU"), counted(self.cpus, "core")]
        said += [f"{memory_text(self.memory)} of memory"] if self.memory is not None else []
        return ", ".join(text for text in said if text)

    @property
    def json(self) -> dict[str, int]:
        """What is said, JSON-ready; memory in bytes."""
        return {name: amount for name, amount in asdict(self).items() if amount is not None}

    @classmethod
    def of(cls, document: Mapping[str, int]) -> Resources:
        """From `json`."""
        return cls(**document)


UNSAID = Resources()
"""As without `resources`."""


def counted(amount: int | None, noun: str) -> str:
    """`1 GPU`, `2 GPUs`; empty for None."""
    return "" if amount is None else f"{amount} {noun}{'' if amount == 1 else 's'}"


def memory_of(text: str) -> int:
    """Bytes of `20G`, `512M`, `1.5T`, powers of 1024. Raises ValueError."""
    found = _MEMORY.fullmatch(text.strip())
    amount = int(float(found[1]) * _UNITS[found[2]]) if found else 0
    if not _UNITS["M"] <= amount <= _MAX_MEMORY:
        raise ValueError(text)
    return amount


def memory_text(amount: int) -> str:
    """`20G`, `512M`, with at most one decimal."""
    name, unit = next((name, unit) for name, unit in reversed(_UNITS.items()) if amount >= unit or name == "M")
    return f"{amount / unit:.1f}".removesuffix(".0") + name
