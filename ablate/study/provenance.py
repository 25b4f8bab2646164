"""Which code a result came from: recorded with each attempt, never part of a run's identity."""

from __future__ import annotations

import hashlib
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

ROOMS = ("study", "training")
"""The rooms whose code can change a number."""


@cache
def code_version() -> dict[str, Any]:
    """`code`, the SHA-256 over the Python files that can change a number; `commit` and `dirty` of our own checkout, else None."""
    package = Path(__file__).resolve().parents[1]
    source = hashlib.sha256()
    for path in sorted(path for room in ROOMS for path in (package / room).rglob("*.py")):
        source.update(path.relative_to(package).as_posix().encode())
        source.update(path.read_bytes())
    # a package installed into a folder below someone else's repository is not part of it
    ours = _git(package, "ls-files", "--error-unmatch", "__init__.py") is not None
    commit = _git(package, "rev-parse", "HEAD") if ours else None
    status = _git(package, "status", "--porcelain", "--", ".") if commit else None
    return {"code": source.hexdigest(), "commit": commit, "dirty": bool(status) if status is not None else None}


def _git(folder: Path, *arguments: str) -> str | None:
    """The output of a git command, or None where git, the repository or the file is not there."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
