"""What the numbers of another trainer depend on besides the recipe: machine, versions, and the files that make it up."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ablate.study.records import Context
from ablate.study.run import Run
from ablate.version import __version__

LARGEST = 8 << 20
"""Bytes of a file that is still looked at: scripts and settings are small, data are not."""


def study_folder(context: Context) -> Path:
    """The folder of the study file, where commands run and modules are looked for first."""
    return Path(context.options.get("study_dir") or ".").absolute()


def about(run: Run, context: Context, names: Iterable[Path]) -> tuple[dict[str, Any], str]:
    """(environment, fingerprint) of an attempt. A script that was edited without a new version shows in the fingerprint."""
    folder = study_folder(context)
    files = {str(name): digest for name in names if (digest := _digest(folder / name)) is not None}
    environment: dict[str, Any] = {
        "trainer": dict(run.trainer or {}),
        "folder": str(folder),
        "files": files,
        "packages": {"ablate": __version__},
    }
    if context.device == "cpu":
        environment["device"] = _processor()
    parts = [context.device, f"{context.threads} threads", *(f"{name} {digest[:12]}" for name, digest in files.items())]
    return environment, ", ".join(parts)


def _digest(path: Path) -> str | None:
    """The SHA-256 of a small file; None for anything else."""
    try:
        if not path.is_file() or path.stat().st_size > LARGEST:
            return None
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except (OSError, ValueError):
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
