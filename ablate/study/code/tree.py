"""What a snapshot of a study's folder holds: which files are copied, and which are linked."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ablate.errors import NotFound, UsageError
from ablate.study.code import git
from ablate.study.recipes.digest import canonical_json

MOST = 200_000_000
"""Bytes of files without a repository that knows them, beyond which nothing is copied."""
_DATABASE = b"SQLite format 3\0"
_BESIDE = ("-wal", "-shm", "-journal", ".lock")
_BYTE_CODE = ("__pycache__", ".pyc", ".pyo")


@dataclass(frozen=True)
class Tree:
    """What would be copied: `files` by their names under `root`, and `links` to what is not. `loose` are the bytes of the files
    that no repository tracks, by their first folder."""

    root: Path
    inner: str
    files: tuple[str, ...] = ()
    links: Mapping[str, str] = field(default_factory=dict)
    loose: Mapping[str, int] = field(default_factory=dict)
    commit: str = ""

    def check(self) -> None:
        """Raises UsageError for more than may be copied, with what is largest."""
        total = sum(self.loose.values())
        if total <= MOST:
            return
        largest = sorted(self.loose, key=lambda name: -self.loose[name])[:3]
        shown = ", ".join(
            f"{name} ({self.loose[name] / 1e6:,.0f} MB)" for name in largest if self.loose[name] > MOST / 100
        )
        raise UsageError(
            f"{self.root} holds {total / 1e6:,.0f} MB that git does not track, and at most {MOST / 1e6:,.0f} MB of that are copied; the "
            f"largest are {shown}. Name data in the .gitignore of a git repository, and it is linked; or move it elsewhere."
        )

    def digest(self) -> str:
        """Of what the files hold at this moment."""
        return digest_of(self.commit, contents(self.root, self.files))


def look(folder: Path, home: Path, commit: str = "") -> Tree:
    """What a snapshot of a study's folder would hold; nothing is written. Raises NotFound where a commit's repository is not here."""
    folder = folder.resolve()
    root = git.root_of(folder)
    if commit and (root is None or git.commit_of(folder, commit) is None):
        raise NotFound(f"{folder} is in no git repository that has the commit {commit[:12]}")
    if root is None:
        return _without_git(folder, home)
    root = root.resolve()
    inner = folder.relative_to(root).as_posix()
    tracked = [] if commit else [*git.files(root, "cached")]
    others = [] if commit else [*git.files(root, "others")]
    linked = {name for name in git.ignored(root) if not _left_out(root / name, home)}
    return _sorted_out(root, inner, tracked, others, linked, home, commit)


def _without_git(folder: Path, home: Path) -> Tree:
    """All of a folder, without byte code; environments of Python are linked."""
    found: list[str] = []
    linked: set[str] = set()
    for place, folders, names in os.walk(folder):
        here = Path(place)
        inside = [name for name in folders if not _left_out(here / name, home) and name != ".git"]
        environments = [
            name for name in inside if (here / name / "pyvenv.cfg").exists() or (here / name / "conda-meta").is_dir()
        ]
        linked |= {(here / name).relative_to(folder).as_posix() for name in environments}
        folders[:] = [name for name in inside if name not in environments and not (here / name).is_symlink()]
        names += [name for name in inside if (here / name).is_symlink()]
        found += [(here / name).relative_to(folder).as_posix() for name in names]
    return _sorted_out(folder, ".", [], found, linked, home, "")


def _sorted_out(root: Path, inner: str, tracked: Iterable[str], others: Iterable[str], linked: set[str], home: Path,
                commit: str) -> Tree:  # fmt: skip
    """Databases are never copied, since somebody may be writing to them: they are linked, as data are."""
    files: dict[str, None] = {}
    loose: dict[str, int] = {}
    for names, known in ((tracked, True), (others, False)):
        for name in names:
            path = root / name
            if _left_out(path, home) or (size := _size(path)) is None:
                continue
            if _is_database(path):
                linked.add(name)
            elif not any(_is_database(root / name.removesuffix(end)) for end in _BESIDE if name.endswith(end)):
                files[name] = None
                if not known:
                    top = name.split("/")[0]
                    loose[top] = loose.get(top, 0) + size
    links = {name: str(root / name) for name in sorted(linked)}
    return Tree(root, inner, tuple(sorted(files)), links, loose, commit)


def _left_out(path: Path, home: Path) -> bool:
    """ABLATE_HOME is no code, wherever it lies; byte code belongs to the files of one folder."""
    return path == home.resolve() or home.resolve() in path.parents or is_byte_code(path.name)


def is_byte_code(name: str) -> bool:
    """Of a file's or a folder's name: what Python keeps for itself, which running a script writes."""
    return name.endswith(_BYTE_CODE) or "__pycache__/" in name


def _is_database(path: Path) -> bool:
    try:
        if (size := path.stat().st_size) < 512 or size % 512:  # it is made of pages
            return False
        with path.open("rb") as stream:
            return path.is_file() and stream.read(len(_DATABASE)) == _DATABASE
    except OSError:
        return False


def _size(path: Path) -> int | None:
    """The bytes of a file or a link; None for what cannot be copied."""
    try:
        status = path.lstat()
    except OSError:
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode) else None


def seen_in(root: Path, name: str) -> str:
    """What a file holds: whether it may be executed and its SHA-256, or where a link leads; empty where it is gone."""
    path = root / name
    try:
        if path.is_symlink():
            return f"to {target_of(root, path)}"
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        return f"{'x' if path.stat().st_mode & 0o100 else '-'} {digest}"
    except OSError:
        return ""


def contents(root: Path, names: Iterable[str]) -> dict[str, str]:
    """What each file holds, by name; those that are gone are left out."""
    return {name: seen for name in names if (seen := seen_in(root, name))}


def target_of(root: Path, path: Path) -> str:
    """Where a link leads: within the copy as from its own folder, else by its whole path."""
    given = os.path.normpath(path.parent / os.readlink(path))
    return os.path.relpath(given, path.parent) if Path(given).is_relative_to(root) else given


def digest_of(commit: str, files: Mapping[str, str]) -> str:
    """64 hex digits for a snapshot: of its commit, else of what its files hold."""
    return hashlib.sha256(canonical_json({"commit": commit} if commit else {"files": dict(files)}).encode()).hexdigest()
