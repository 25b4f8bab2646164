"""The files that make up a script: the program that a command names, what that imports, and what `watch` names.

They are found by reading; nothing is executed. A file's name is its path relative to the study's folder, so that a copy of the
folder elsewhere is the same code; it is absolute only where the command names a file outside by an absolute path.
"""

from __future__ import annotations

import glob
import hashlib
import importlib.util
import os
import posixpath
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ablate.study.code.imports import Reference, read_imports, read_references

PROGRAMS = (".py", ".sh", ".r", ".jl", ".ipynb")
"""Endings of files that run, in lower case: what these import or name is looked for."""
CODE = (*PROGRAMS, ".yaml", ".yml", ".json", ".toml", ".ini")
"""Endings of files that are code wherever a command names them."""

RUN_DIR = "\0run"
"""Stands for `{run_dir}` in a command's words: what lies there is no code of the study's."""

_INTERPRETER = re.compile(r"(python[\d.]*|pypy[\d.]*|bash|sh|dash|zsh|ksh|Rscript|julia|perl|ruby|node)")
_CHANGES_FOLDER = ("-C", "--chdir", "--directory", "--cwd")
_PLAIN = re.compile(r"[^\s'\"\\;|&<>()=,:$`]+")
_SHELL = ";|&<>()"


@dataclass(frozen=True)
class Files:
    """`digests` maps each file's name to its SHA-256. `absent` is the program as the command names it, where it is not there."""

    digests: dict[str, str] = field(default_factory=dict)
    absent: str = ""


@dataclass(frozen=True)
class Around:
    """What is around a command: the `folder` that it runs in, `variables` (`NAME=value`), commands `before` it, other `files`."""

    folder: str = ""
    variables: tuple[str, ...] = ()
    before: tuple[tuple[str, ...], ...] = ()
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Start:
    """A file to begin with, and the folders where what it imports is looked for, in order."""

    name: str
    roots: tuple[str, ...]


_ALONE = Around()


class Scripts:
    """What lies in a study's folder. Each file is looked at once: a new object sees what has changed since."""

    def __init__(self, folder: Path, watch: Sequence[str] = ()) -> None:
        self.folder = self._folder = folder.absolute()
        self._watch = tuple(watch)
        self._files: dict[str, tuple[str, tuple[Reference, ...]] | None] = {}
        self._there: dict[str, bool] = {}
        self._whole: dict[tuple[_Start, ...], dict[str, str]] = {}
        self._watched: dict[str, str] | None = None

    def of_command(self, words: Sequence[str], around: Around = _ALONE) -> Files:
        """The files of a command, given as its words."""
        folders = ("", self.name("", around.folder)) if around.folder else ("",)
        starts, absent = [_Start(self.name("", name), ("",)) for name in around.files], ""
        for given in (*around.before, words):
            found, gone = _Words(self, folders, around.variables).read(given)
            starts, absent = [*starts, *found], absent or gone
        return Files(self._closed(starts), absent)

    def of_module(self, dotted: str) -> Files:
        """The files of a module: of the study's folder, else as installed, where only its own package counts."""
        starts = [_Start(name, ("",)) for name in self.module(dotted, ("",))]
        if starts:
            return Files(self._closed(starts))
        root = _installed(dotted)
        if root is None:
            return Files(self._closed([]), dotted)
        package = Scripts(root)
        inside = [_Start(name, ("",)) for name in package.module(dotted, ("",))]
        top = dotted.partition(".")[0]
        own = {name: digest for name, digest in package._closed(inside).items() if re.match(rf"{top}(/|\.py$)", name)}
        return Files({**own, **self.watched()}, "" if own else dotted)

    def watched(self) -> dict[str, str]:
        """The digests of what the globs match; byte code is never among it, for running the script writes that."""
        if self._watched is None:
            names = {name for pattern in self._watch for name in matches(self._folder, pattern)}
            self._watched = {name: read[0] for name in sorted(names) if (read := self._read(name)) is not None}
        return self._watched

    def is_file(self, name: str) -> bool:
        if name not in self._there:
            try:
                self._there[name] = (self._folder / name).is_file()
            except (OSError, ValueError):  # too long for a file name, or a zero in it
                self._there[name] = False
        return self._there[name]

    def is_folder(self, name: str) -> bool:
        try:
            return (self._folder / name).is_dir()
        except (OSError, ValueError):
            return False

    def is_executable(self, name: str) -> bool:
        return os.access(self._folder / name, os.X_OK)

    def name(self, folder: str, path: str) -> str:
        """The name of a path as seen from a folder, which is a name itself."""
        joined = posixpath.normpath(posixpath.join(folder, os.path.expanduser(path)))
        inside = posixpath.join(str(self._folder), "")
        return joined.removeprefix(inside) if joined.startswith(inside) else joined

    def module(self, dotted: str, roots: Iterable[str]) -> list[str]:
        """The files that importing a module runs: its packages' and its own, from the first root that has any."""
        parts = dotted.split(".")
        for root in dict.fromkeys(roots):
            places = [self.name(root, posixpath.join(*parts[:end])) for end in range(1, len(parts) + 1)]
            found = [f"{place}/__init__.py" for place in places if self.is_file(f"{place}/__init__.py")]
            if f"{places[-1]}/__init__.py" not in found and self.is_file(f"{places[-1]}.py"):
                found.append(f"{places[-1]}.py")
            if found:
                return found
        return []

    def referred(self, name: str, references: Iterable[Reference], roots: tuple[str, ...]) -> Iterator[_Start]:
        """Where the files begin that a file imports, names or runs."""
        here = posixpath.dirname(name)
        for reference in references:
            if reference.shell:
                yield from _Words(self, (here, *reversed(roots[1:]))).read([reference.shell])[0]
                continue
            if reference.file:
                places = (self.name(root, reference.file) for root in dict.fromkeys((*roots, here)))
                found = [place for place in places if self.is_file(place)][:1]
            elif reference.level:
                package = self.name(here, posixpath.join(".", *[".."] * (reference.level - 1)))
                found = [place for place in [self.name(package, "__init__.py")] if self.is_file(place)]
                found += self.module(reference.module, (package,)) if reference.module else []
            else:
                found = self.module(reference.module, roots)
            yield from (_Start(place, roots) for place in found)

    def _closed(self, starts: Iterable[_Start]) -> dict[str, str]:
        """The digests of these files and of all that they lead to, and of what is watched; sorted."""
        key = tuple(starts)
        if key not in self._whole:
            found: dict[str, str] = {}
            waiting = list(key)
            while waiting:
                start = waiting.pop()
                if start.name in found or (read := self._read(start.name)) is None:
                    continue
                found[start.name], references = read
                waiting += self.referred(start.name, references, start.roots)
            self._whole[key] = dict(sorted({**found, **self.watched()}.items()))
        return self._whole[key]

    def _read(self, name: str) -> tuple[str, tuple[Reference, ...]] | None:
        """A file's SHA-256 and what it refers to; None where it cannot be read."""
        if name not in self._files:
            try:
                data = (self._folder / name).read_bytes()
            except OSError:
                return self._files.setdefault(name, None)
            digest = hashlib.sha256(data).hexdigest()
            self._files[name] = digest, read_references(digest, _kind(name, data), data)
        return self._files[name]


class _Words:
    """Goes through the words of one command; `folders` are where its files are looked for, the last one first.

    A text for a shell, or for `python -c`, is taken to pieces.
    """

    def __init__(self, scripts: Scripts, folders: Iterable[str] = ("",), variables: Iterable[str] = ()) -> None:
        self._scripts = scripts
        self._folders = list(folders)
        self._path: list[str] = []
        self._starts: list[_Start] = []
        self._absent = ""
        self._lost = False  # whether what the command begins with is absent, whatever else of its files is here
        for variable in variables:
            for piece in self._pieces(variable):
                self._piece("", piece, program=False)
        self._absent = ""  # what a variable names need not be there

    def read(self, words: Sequence[str]) -> tuple[list[_Start], str]:
        before, interpreted = "", False
        for index, word in enumerate(words):
            if re.fullmatch(r"-[A-Za-z]*c", before):
                self._source(word)
            for piece in self._pieces(word):
                self._piece(before, piece, program=interpreted or index == 0)
                interpreted = _is_interpreter(piece) or (interpreted and piece.startswith("-"))
                before = piece
        starts = list(dict.fromkeys(self._starts))
        return starts, self._absent if self._lost or not starts else ""

    def _pieces(self, word: str) -> list[str]:
        """The word, or the words of the text that it is, with `a=b` and `a,b` apart."""
        if _PLAIN.fullmatch(word) or self._file(word):
            return [word]
        if re.fullmatch(r"PYTHONPATH=\S+", word):
            self._path += word.partition("=")[2].split(os.pathsep)
            return []
        try:
            lexer = shlex.shlex(word, posix=True, punctuation_chars=_SHELL)
            lexer.whitespace_split, lexer.commenters = True, ""
            tokens = list(lexer)
        except ValueError:
            tokens = _PLAIN.findall(word)
        if tokens == [word]:
            return [piece for piece in re.split(r"[=,:]", word) if piece]
        return [piece for token in tokens for piece in self._pieces(token)] if tokens else []

    def _piece(self, before: str, piece: str, program: bool) -> None:
        folder = piece[2:] if piece.startswith("-C") else piece if before in _CHANGES_FOLDER else ""
        if (folder and not self._starts) or before == "cd":
            inside = self._scripts.name(self._folders[-1], folder or piece)
            if self._scripts.is_folder(inside):
                self._folders.append(inside)
                return
        if RUN_DIR in piece or (before in ("-m", "--module") and self._module(piece)):
            return
        found = self._file(piece)
        if found and (_ending(found) in CODE or self._is_program(found, piece, program)):
            self._start(found)
        elif program and (main := self._file(posixpath.join(piece, "__main__.py"))):
            self._start(main)
        elif not found and (_ending(piece) in PROGRAMS or (program and piece.startswith("./"))):
            self._absent = self._absent or piece
            self._lost = self._lost or (program and not self._starts)

    def _file(self, piece: str) -> str:
        """The name of the file that is meant, from the folder changed to last on; empty where there is none. Of `$X/train.py`
        a shell alone knows the folder: then what follows is looked for."""
        rest = piece.partition("/")[2] if piece.startswith(("$", "/")) else ""
        names = (
            self._scripts.name(folder, path) for path in (piece, rest) if path for folder in reversed(self._folders)
        )
        return next((name for name in names if self._scripts.is_file(name)), "")

    def _is_program(self, name: str, piece: str, program: bool) -> bool:
        """Something of the study's own that is executed: `./train`. An interpreter, or what an environment installed, is not."""
        installed = posixpath.join(posixpath.dirname(posixpath.dirname(name)), "pyvenv.cfg")
        if _is_interpreter(piece) or posixpath.isabs(name) or self._scripts.is_file(installed):
            return False
        return program or ("/" in piece and self._scripts.is_executable(name))

    def _start(self, name: str) -> None:
        self._starts.append(_Start(name, self._roots(posixpath.dirname(name))))

    def _roots(self, *first: str) -> tuple[str, ...]:
        path = [self._scripts.name(self._folders[-1], folder) for folder in self._path]
        return tuple(dict.fromkeys((*first, *reversed(self._folders), *path)))

    def _module(self, dotted: str) -> bool:
        roots = self._roots()
        found = [*self._scripts.module(dotted, roots), *self._scripts.module(f"{dotted}.__main__", roots)]
        self._starts += [_Start(name, roots) for name in found]
        return bool(found)

    def _source(self, text: str) -> None:
        """What the text of `python -c` imports; a shell's is no Python."""
        roots = self._roots()
        self._starts += self._scripts.referred("", read_imports(text), roots)


def globs_of(trainer: Mapping[str, Any] | None) -> tuple[str, ...]:
    """What a study's `trainer` block says under `watch`: one glob or several."""
    given = (trainer or {}).get("watch")
    return tuple(map(str, given)) if isinstance(given, list) else () if given is None else (str(given),)


def matches(folder: Path, pattern: str) -> list[str]:
    """The names of the files that a glob matches in a folder; `**` is any number of folders."""
    found = glob.glob(pattern, root_dir=folder, recursive=True)
    names = [posixpath.normpath(name) for name in found if (folder / name).is_file()]
    return [name for name in names if "__pycache__" not in name.split("/") and not name.endswith((".pyc", ".pyo"))]


def _ending(name: str) -> str:
    return posixpath.splitext(name)[1].lower()


def _is_interpreter(piece: str) -> bool:
    return bool(_INTERPRETER.fullmatch(posixpath.basename(piece)))


def _kind(name: str, data: bytes) -> str:
    """The ending that says how a file is read; of a program without one, by its first line."""
    ending = _ending(name)
    if ending or not data.startswith(b"#!"):
        return ending
    return ".py" if b"python" in data.partition(b"\n")[0] else ".sh"


def _installed(dotted: str) -> Path | None:
    """The folder from which Python would import a module's package. Nothing of it is imported."""
    try:
        spec = importlib.util.find_spec(dotted.partition(".")[0])
    except (ImportError, ValueError, AttributeError):
        return None
    if spec is None:
        return None
    places = list(spec.submodule_search_locations or ())
    if places:
        return Path(places[0]).parent
    return Path(spec.origin).parent if spec.origin and spec.has_location else None
