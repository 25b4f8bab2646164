"""Code as it was: a copy of the files around a study, made once, whole or not at all.

    ABLATE_HOME/sources/ID/snapshot.json    what was copied: names, SHA-256s, links
    ABLATE_HOME/sources/ID/code/            the files; ignored ones, as data are, are links to the originals

The copy is of the git repository that keeps the study's folder: its tracked files, and those that it does not ignore; else of that
folder. It is written beside and renamed, so that of several writers one makes it and none sees half of it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any

from ablate.errors import NoSpaceOrPermission
from ablate.study.code import git
from ablate.study.code.tree import Tree, contents, digest_of, is_byte_code, look, seen_in, target_of
from ablate.study.recipes.digest import canonical_json

SOURCES, MANIFEST, CODE = "sources", "snapshot.json", "code"
UNFINISHED = ".unfinished"
LEFT = ".left-"
"""How the folder is called, with some digits behind, of which only what scripts wrote is left."""


@dataclass(frozen=True)
class Snapshot:
    """A copy in `folder`; the study's folder in it is `inner`. `digest` (64 hex digits) is that of the files, wherever they were
    copied from; of a commit it is the commit's. `folder` differs where the data that is linked does."""

    folder: Path
    inner: str
    digest: str
    commit: str = ""

    @property
    def place(self) -> Path:
        """Where commands run: what the study's folder is in the copy."""
        return self.folder / CODE / self.inner

    @property
    def whole(self) -> bool:
        return (self.folder / MANIFEST).is_file()

    def document(self) -> dict[str, str]:
        """As JSON has it."""
        return {"digest": self.digest, "folder": str(self.folder), "inner": self.inner, "commit": self.commit}


def read_snapshot(document: Mapping[str, Any]) -> Snapshot:
    """What `Snapshot.document` gave."""
    text = {key: str(document.get(key) or "") for key in ("digest", "inner", "commit")}
    return Snapshot(Path(str(document["folder"])), **text)


def take(folder: Path, home: Path, commit: str = "") -> Snapshot:
    """The snapshot of a study's folder, or of a commit of its repository, made where it is not there yet.

    Raises UsageError for more than may be copied, NotFound as `look`, NoSpaceOrPermission.
    """
    tree = look(folder, home, commit)
    tree.check()
    digest = tree.digest()
    snapshot = Snapshot(_folder(home, digest, tree.links), tree.inner, digest, commit)
    try:
        if not snapshot.whole:
            snapshot = _make(tree, home)
        os.utime(snapshot.folder / MANIFEST)  # asked for again
        snapshot.place.mkdir(parents=True, exist_ok=True)  # a study that is newer than the commit
    except OSError as error:
        raise NoSpaceOrPermission(
            f"the code of {folder} cannot be copied to {home / SOURCES}: {error.strerror or error}"
        ) from None
    return snapshot


def _make(tree: Tree, home: Path) -> Snapshot:
    beside = home / SOURCES / f".{os.getpid()}-{token_hex(6)}{UNFINISHED}"
    try:
        code = beside / CODE
        code.mkdir(parents=True)
        if tree.commit and not git.check_out(tree.root, tree.commit, code, beside / "index"):
            raise OSError(f"git cannot write the files of {tree.commit[:12]}")
        _lead_out(tree.root, code)
        for name in tree.files:
            _copy(tree.root, name, code)
        held = [*_walk(code)] if tree.commit else tree.files
        files = contents(code, held)
        for name, target in tree.links.items():
            _link(code / name, Path(target))
        digest = digest_of(tree.commit, files)
        _write_manifest(beside, {"digest": digest, "commit": tree.commit, "root": str(tree.root), "files": files,
                                 "links": dict(tree.links)})  # fmt: skip
        return Snapshot(_settle(beside, _folder(home, digest, tree.links)), tree.inner, digest, tree.commit)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def own_copy(snapshot: Snapshot, into: Path, instead: Mapping[str, bytes]) -> Path:
    """A copy of a snapshot in the folder `into`, where some files, named from the top of the copy, hold something else; what the
    study's folder is in it. One that is there is taken as it is. Raises NoSpaceOrPermission."""
    inner = into / CODE / snapshot.inner
    if (into / MANIFEST).is_file():
        return inner
    beside = into.with_name(f".{into.name}-{token_hex(6)}{UNFINISHED}")
    try:
        manifest = read_manifest(snapshot.folder)
        code = beside / CODE
        code.mkdir(parents=True)
        for name in manifest["files"]:
            _copy(snapshot.folder / CODE, name, code)
        for name, content in instead.items():
            (code / name).write_bytes(content)
        for name, target in manifest["links"].items():
            _link(code / name, Path(target))
        (code / snapshot.inner).mkdir(parents=True, exist_ok=True)
        files = contents(code, manifest["files"])
        _write_manifest(beside, {**manifest, "files": files})
        _settle(beside, into)
    except OSError as error:
        raise NoSpaceOrPermission(f"the run's copy of its code cannot be written: {error.strerror or error}") from None
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return inner


def read_manifest(folder: Path) -> dict[str, Any]:
    """What was copied into a snapshot's folder. Raises OSError where it is not whole."""
    read: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    return read


def strangers(folder: Path) -> list[str]:
    """The files in a snapshot that were not copied into it, or changed since: a script wrote them. Byte code is none."""
    manifest = read_manifest(folder)
    code, known = folder / CODE, manifest["files"]
    own = (name for name in _walk(code) if name not in manifest["links"] and not is_byte_code(name))
    return [name for name in own if known.get(name) != seen_in(code, name)]


def remove(folder: Path) -> None:
    """Take away what was copied, and the links, never what they lead to; what a script wrote beside them stays. Raises OSError."""
    kept = set(strangers(folder))
    code = folder / CODE
    for name in [*_walk(code)]:
        if name not in kept:
            (code / name).unlink()
    (folder / MANIFEST).unlink()
    for place, _, _ in os.walk(folder, topdown=False):
        if not os.listdir(place):
            os.rmdir(place)
    if folder.exists():  # so that its place is free for a new copy
        folder.rename(folder.with_name(f"{folder.name}{LEFT}{token_hex(3)}"))


# ----------------------------------------------------------------------------------------------------------------------


def _folder(home: Path, digest: str, links: Mapping[str, str]) -> Path:
    whole = canonical_json({"digest": digest, "links": dict(links)}) if links else ""
    return home.resolve() / SOURCES / (hashlib.sha256(whole.encode()).hexdigest() if links else digest)


def _copy(root: Path, name: str, into: Path) -> None:
    """One file or link; one that has gone meanwhile is left out."""
    source, target = root / name, into / name
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        if source.is_symlink():
            target.symlink_to(target_of(root, source))
        else:
            shutil.copy2(source, target)
    except FileNotFoundError:
        if source.exists():
            raise


def _link(place: Path, target: Path) -> None:
    """A link to the original; of a folder that was copied in part, to what is not in the copy."""
    if not os.path.lexists(place):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(target)
    elif place.is_dir() and not place.is_symlink() and target.is_dir():
        for inner in sorted(target.iterdir()):
            if not is_byte_code(inner.name):
                _link(place / inner.name, inner)


def _lead_out(root: Path, code: Path) -> None:
    """Links of a commit that lead out of its repository lead to the same place from the copy."""
    for name in [*_walk(code)]:
        link = code / name
        if link.is_symlink() and not (
            target := Path(os.path.normpath(root / name / ".." / os.readlink(link)))
        ).is_relative_to(root):
            link.unlink()
            link.symlink_to(target)


def _walk(code: Path) -> Iterator[str]:
    """The names of all files and links; links are not followed."""
    for place, folders, names in os.walk(code):
        here = Path(place)
        found = [*names, *(name for name in folders if (here / name).is_symlink())]
        yield from sorted((here / name).relative_to(code).as_posix() for name in found)


def _write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")


def _settle(beside: Path, place: Path) -> Path:
    """The finished copy at its place; where another was quicker, that one stays."""
    try:
        beside.rename(place)
    except OSError:
        if not (place / MANIFEST).is_file():
            raise
    return place
