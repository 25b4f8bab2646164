"""What a number depends on besides its recipe: versions, hardware, our own code, and how the arithmetic is done."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy
import torch
import torchvision

from ablate.version import __version__

PLACES = ("home", "data_root", "study_dir", "parent_study_dirs")
"""Options that say where things lie on one machine: no result hangs on them."""


def environment(device: str, options: Mapping[str, Any] | None = None, *, threads: int | None = None) -> dict[str, Any]:
    """A JSON-ready description of where a run trains: `python`, `platform`, `packages`, `device`, `cpu`, `threads`, `options`."""
    shown = {
        name: value for name, value in (options or {}).items() if isinstance(value, str | int | float | bool | None)
    }
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "packages": {
            "ablate": __version__,
            "torch": torch.__version__,
            "torchvision": torchvision.__version__,
            "numpy": numpy.__version__,
        },
        "device": device_name(device),
        "cpu": cpu_model(),
        "cuda": torch.version.cuda if torch.device(device).type == "cuda" else None,
        "threads": torch.get_num_threads() if threads is None else threads,
        "options": {name: value for name, value in shown.items() if name not in PLACES},
    }


def fingerprint(device: str, options: Mapping[str, Any], *, precision: str, threads: int) -> str:
    """How the arithmetic is done, as one readable line. Runs repeat bit for bit only where it is the same.

    `options` are those of a `Context`: `channels_last`, `compile`, `deterministic`, and `packing` (runs at a time).
    """
    kind = torch.device(device).type
    hardware = torch.backends.cpu.get_cpu_capability() if kind == "cpu" else device_name(device)
    parts = [
        kind,
        hardware,
        f"torch {torch.__version__}",
        precision,
        "channels_last" if options.get("channels_last", True) else "channels_first",
        f"{threads} threads" if kind == "cpu" else "",
        "compiled" if options.get("compile") else "eager",
        "deterministic" if options.get("deterministic") else "fastest",
        f"packing {options['packing']}" if options.get("packing", 1) != 1 else "",
    ]
    return ", ".join(part for part in parts if part)


def device_name(device: str) -> str:
    """`NVIDIA H200`, or the processor's name for the CPU."""
    chosen = torch.device(device)
    if chosen.type == "cuda" and torch.cuda.is_available():
        return torch.cuda.get_device_name(chosen)
    return cpu_model() if chosen.type == "cpu" else chosen.type


@cache
def cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
