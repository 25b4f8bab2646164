"""Our trainer's code as files: its core, and the files of each part. Nothing is executed; a file counts by what it means.

A file's own name and place are not in its digest, so a module that moves is the same code.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from ablate.study.code.syntax import imports, meaning, parse

PACKAGE = __name__.partition(".")[0]
LAYERS = (f"{PACKAGE}.training", f"{PACKAGE}.parts")
"""Where code lies that can change a number: what `study` decides is in the recipe, which is hashed whole."""


@dataclass(frozen=True)
class _File:
    """`digest` is empty where the file does nothing; `imports` are absolute names."""

    digest: str
    imports: tuple[str, ...] = ()


class Reach:
    """Files by module, each read once. `folder` holds our own package; others are looked for where Python would find them."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or Path(__file__).resolve().parents[3]
        self._files: dict[str, _File | None] = {}

    def modules(self, start: str, leave_out: Collection[str] = ()) -> list[str]:
        """What importing `start` runs of its own package, and of our trainer and its parts; sorted. Those of `leave_out`, and
        what only they import, are not among it."""
        top = start.partition(".")[0]
        layers = LAYERS if top == PACKAGE else (*LAYERS, top)
        found: set[str] = set()
        waiting = [start]
        while waiting:
            name = waiting.pop()
            if name in found or name in leave_out or not _inside(name, layers):
                continue
            if (file := self._file(name)) is None:
                continue
            found.add(name)
            waiting += [name.rpartition(".")[0], *file.imports]
        return sorted(found)

    def digest(self, modules: Iterable[str]) -> str:
        """One SHA-256 of what these modules mean, whatever they are called."""
        files = {file.digest for name in modules if (file := self._file(name)) is not None and file.digest}
        return hashlib.sha256("\n".join(sorted(files)).encode()).hexdigest()

    def path(self, module: str) -> Path | None:
        """The file of a module; None where there is none. Nothing is imported."""
        top, *rest = module.split(".")
        for place in self._places(top):
            path = place.joinpath(*rest)
            for file in (path / "__init__.py", path.with_suffix(".py") if rest else path):
                if file.is_file():
                    return file
        loaded = getattr(sys.modules.get(module), "__file__", None) if top != PACKAGE else None
        return Path(loaded) if loaded and Path(loaded).suffix == ".py" else None

    def _places(self, top: str) -> list[Path]:
        """The folders of a package, or the file of a module of its own."""
        if top == PACKAGE:
            return [self._folder / PACKAGE]
        try:
            spec = importlib.util.find_spec(top)
        except (ImportError, ValueError, AttributeError):
            return []
        if spec is None:
            return []
        folders = list(spec.submodule_search_locations or ())
        return [Path(place) for place in folders or ([spec.origin] if spec.origin and spec.has_location else [])]

    def _file(self, module: str) -> _File | None:
        if module not in self._files:
            path = self.path(module)
            self._files[module] = None if path is None else _read(path, module)
        return self._files[module]


def _read(path: Path, module: str) -> _File:
    data = path.read_bytes()
    try:
        tree = parse(data.decode("utf-8"))
    except (SyntaxError, ValueError):  # of another package, for another Python: its bytes
        return _File(hashlib.sha256(data).hexdigest())
    text = meaning(tree, {PACKAGE, module.partition(".")[0]})
    digest = hashlib.sha256(text.encode()).hexdigest() if text else ""
    return _File(digest, imports(tree, module, is_package=path.name == "__init__.py"))


def _inside(module: str, layers: Iterable[str]) -> bool:
    return any(module == layer or module.startswith(f"{layer}.") for layer in layers)
