"""Tiny git repositories for tests."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path


def git(folder: Path, *words: str) -> str:
    """A git command without this machine's settings; what it prints."""
    settings = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    who = {f"GIT_{role}_{what}": "a@b" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    call = ["git", "-C", str(folder), "-c", "init.defaultBranch=main", *words]
    return subprocess.run(
        call, env={**os.environ, **settings, **who}, check=True, capture_output=True, text=True
    ).stdout.strip()


def write(folder: Path, files: dict[str, str]) -> Path:
    """Text files in a folder, by their names."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def commit(folder: Path, files: dict[str, str]) -> str:
    """The files committed to the folder's repository, which is made where there is none; the commit."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / ".git").exists():
        git(folder, "init", "-q")
    write(folder, files)
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "change")
    return git(folder, "rev-parse", "HEAD")


def fingerprint(folder: Path) -> str:
    """Everything that lies in a folder, a repository's own files too, as one digest."""
    seen = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        seen.update(f"{path.relative_to(folder)} {status.st_mode} {status.st_mtime_ns}\n".encode())
        if path.is_file() and not path.is_symlink():
            seen.update(path.read_bytes())
    return seen.hexdigest()
