"""Reading a git repository: which files there are, and what a revision holds. Nothing of it is ever written: no ref, no index, no file."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

_SECONDS = 600
_OF_HOOKS = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_OBJECT_DIRECTORY")
"""What git sets for its hooks: it would lead into the hook's repository, wherever the folder lies."""


def git(folder: Path, *arguments: str, index: Path | None = None) -> bytes | None:
    """The output of a git command; None where git, the repository or what is asked for is not there."""
    environment = {name: value for name, value in os.environ.items() if name not in _OF_HOOKS}
    environment |= {"GIT_OPTIONAL_LOCKS": "0", **({"GIT_INDEX_FILE": str(index)} if index else {})}
    words = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(words, capture_output=True, timeout=_SECONDS, check=False, env=environment)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def text(folder: Path, *arguments: str) -> str | None:
    """The same as text, without blanks at its ends."""
    found = git(folder, *arguments)
    return None if found is None else os.fsdecode(found).strip()


def root_of(folder: Path) -> Path | None:
    """The top of the repository that keeps a folder; None where there is none, or where it ignores the folder."""
    top = text(folder, "rev-parse", "--show-toplevel")
    if not top:
        return None
    root = Path(top)
    inside = folder.resolve() != root.resolve()
    ignores = inside and git(folder, "check-ignore", "--quiet", ".") is not None
    return None if ignores else root


def commit_of(folder: Path, revision: str) -> str | None:
    """The commit, 40 or 64 hex digits, that a commit, tag or branch means in the folder's repository; None for none."""
    found = text(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    return found or None


class Commits:
    """What revisions mean in a folder's repository, each looked up once. `known` are those that were looked up earlier: they stay
    what they were. Of one that means nothing the commit is empty, and `unknown` has it."""

    def __init__(self, folder: Path, known: Mapping[str, str]) -> None:
        self._folder, self._known = folder, known
        self.found: dict[str, str] = {}

    def __call__(self, revision: str) -> str:
        if revision not in self.found:
            self.found[revision] = self._known.get(revision) or commit_of(self._folder, revision) or ""
        return self.found[revision]

    @property
    def unknown(self) -> list[str]:
        return [revision for revision, commit in self.found.items() if not commit]


def content(root: Path, commit: str, name: str) -> bytes | None:
    """What a file, named from the top of the repository, holds in a commit; None where the commit has no such file."""
    return git(root, "cat-file", "blob", f"{commit}:{name}")


def files(root: Path, kind: str) -> Iterator[str]:
    """The names of files in the work tree: `cached` are tracked, `others` are not, nor ignored. Repositories in it, as submodules
    are, are gone through."""
    listed = git(root, "ls-files", "-z", f"--{kind}", "--exclude-standard") or b""
    for name in dict.fromkeys(map(os.fsdecode, filter(None, listed.split(b"\0")))):
        path = root / name
        if not path.is_dir() or path.is_symlink():
            yield name
        elif (path / ".git").exists():
            for inner in (*files(path, "cached"), *files(path, "others")):
                yield os.path.join(name, inner)


def ignored(root: Path) -> list[str]:
    """What the repository ignores: files, and folders of which all is ignored."""
    listed = git(root, "ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--directory") or b""
    return [os.fsdecode(name).rstrip("/") for name in listed.split(b"\0") if name]


def check_out(root: Path, commit: str, into: Path, index: Path) -> bool:
    """The files of a commit, written to `into`, by an index of their own; False where git cannot. Submodules stay empty."""
    into.mkdir(parents=True, exist_ok=True)
    read = git(root, "read-tree", commit, index=index)
    written = read is not None and git(root, "checkout-index", "--all", f"--prefix={into}/", index=index) is not None
    index.unlink(missing_ok=True)
    return written
