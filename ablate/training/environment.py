"""What a number depends on besides its recipe: versions, hardware, our own code, and how the arithmetic is done."""

from __future__ import annotations

import hashlib
import platform
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy
import torch
import torchvision

import ablate


def environment(device: str, options: Mapping[str, Any] | None = None, *, threads: int | None = None) -> dict[str, Any]:
    """A JSON-ready description of where a run trains: `python`, `platform`, `packages`, `device`, `cpu`, `threads`, `code`, `options`.

    `code` has the commit of ablate's own checkout and whether it was dirty, both None outside one, and `source`, the SHA-256
    over ablate's Python files, which tells two versions apart in any case.
    """
    shown = {
        name: value for name, value in (options or {}).items() if isinstance(value, str | int | float | bool | None)
    }
    return {
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "packages": {
            "ablate": ablate.__version__,
            "torch": torch.__version__,
            "torchvision": torchvision.__version__,
            "numpy": numpy.__version__,
        },
        "device": device_name(device),
        "cpu": cpu_model(),
        "cuda": torch.version.cuda if torch.device(device).type == "cuda" else None,
        "threads": torch.get_num_threads() if threads is None else threads,
        "code": dict(code_version()),
        "options": {name: value for name, value in shown.items() if name not in {"home", "data_root"}},
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


@cache
def code_version() -> Mapping[str, Any]:
    """`commit`, `dirty` and `source` of the package that is running."""
    package = Path(ablate.__file__).parent
    source = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        source.update(str(path.relative_to(package)).encode())
        source.update(path.read_bytes())
    # a package installed into a folder below someone else's repository is not part of it
    ours = _git(package, "ls-files", "--error-unmatch", "__init__.py") is not None
    commit = _git(package, "rev-parse", "HEAD") if ours else None
    status = _git(package, "status", "--porcelain", "--", ".") if commit else None
    return {"commit": commit, "dirty": bool(status) if status is not None else None, "source": source.hexdigest()}


def _git(folder: Path, *arguments: str) -> str | None:
    """The output of a git command, or None where git, the repository or the file is not there."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
