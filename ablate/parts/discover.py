"""Declarations found by listing a package and an entry-point group, so that adding one edits no list.

A module of the package holds its declaration under an agreed name, such as PART, or several in a tuple under the plural, PARTS. An
entry point names such a module, a package of such modules, or the declaration itself.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, entry_points
from types import ModuleType
from typing import Generic, Protocol, TypeVar

from ablate.errors import UsageError, nearest


class Named(Protocol):
    @property
    def name(self) -> str: ...


D = TypeVar("D")
N = TypeVar("N", bound=Named)


@dataclass(frozen=True)
class Broken:
    """A declaration that cannot be used: what was to give it, and why it does not."""

    what: str
    name: str
    why: str

    def __str__(self) -> str:
        return f"{self.what} can't be used: {self.why}"


def in_package(package: ModuleType, kind: type[D], attribute: str) -> Iterator[tuple[D, str]]:
    """Each declaration of a package's own modules, with the name of its module. Raises whatever importing one raises."""
    yield from in_module(package, kind, attribute)
    for name in modules(package):
        yield from in_module(importlib.import_module(name), kind, attribute)


def modules(package: ModuleType) -> Iterator[str]:
    """The full names of a package's own modules, in the order of their names."""
    for info in pkgutil.iter_modules(package.__path__):
        yield f"{package.__name__}.{info.name}"


def in_module(module: ModuleType, kind: type[D], attribute: str) -> Iterator[tuple[D, str]]:
    """The declarations of one module. Raises TypeError for one that is something else."""
    one = [getattr(module, attribute)] if hasattr(module, attribute) else []
    for found in (*one, *getattr(module, f"{attribute}S", ())):
        if not isinstance(found, kind):
            raise TypeError(f"{module.__name__}: {attribute} must be a {kind.__name__}, not {found!r}")
        yield found, module.__name__


def installed(group: str, kind: type[D], attribute: str, broken: list[Broken]) -> Iterator[tuple[D, str]]:
    """The declarations of other packages. An entry point that cannot be loaded goes to `broken`: a package that is damaged
    must not keep people from what does not need it."""
    for entry in entry_points(group=group):
        try:
            found = list(_behind(entry.load(), entry.module, kind, attribute))
            if not found:
                raise TypeError(f"{entry.value} has neither {attribute} nor {attribute}S")
        except Exception as error:  # another package's code may raise anything
            broken.append(Broken(_whose(entry.name, entry.dist, group), entry.name, f"{type(error).__name__}: {error}"))
        else:
            yield from found


def _behind(loaded: object, module: str, kind: type[D], attribute: str) -> Iterator[tuple[D, str]]:
    if isinstance(loaded, kind):
        yield loaded, module
    elif isinstance(loaded, ModuleType):
        look = in_package if hasattr(loaded, "__path__") else in_module
        yield from look(loaded, kind, attribute)


def _whose(name: str, distribution: Distribution | None, group: str) -> str:
    package = f" of the package {distribution.name}" if distribution is not None else ""
    return f"the entry point {name!r} in {group}{package}"


class Catalog(Generic[N]):
    """All declarations of one kind by name: those of our package, then those of other packages.

    A name belongs to the first that has it; who comes later under the same name is broken. Looked up once a process.
    """

    def __init__(self, noun: str, kind: type[N], package: str, group: str, attribute: str) -> None:
        self._noun, self._kind, self._package, self._group, self._attribute = noun, kind, package, group, attribute
        self._found: dict[str, N] | None = None
        self._broken: list[Broken] = []

    def all(self) -> Mapping[str, N]:
        """The declarations in the order of their names."""
        if self._found is None:
            self._broken = []
            self._found = self._look()
        return self._found

    def broken(self) -> tuple[Broken, ...]:
        self.all()
        return tuple(self._broken)

    def forget(self) -> None:
        """Look again when next asked."""
        self._found = None

    def get(self, name: str) -> N:
        """Raises UsageError for an unknown name, with what is allowed and what is broken."""
        known = self.all()
        if name in known:
            return known[name]
        why = "".join(f"\n{one}" for one in self._broken if one.name == name)
        raise UsageError(
            f"unknown {self._noun} {name!r}; allowed: {', '.join(known)}.{'' if why else nearest(name, known)}{why}"
        )

    def _look(self) -> dict[str, N]:
        found: dict[str, tuple[N, str]] = {}
        for declared, module in (*self._ours(), *installed(self._group, self._kind, self._attribute, self._broken)):
            if declared.name in found:
                why = f"{self._noun} {declared.name!r} already exists, from {found[declared.name][1]}; choose another name"
                self._broken.append(Broken(module, declared.name, why))
            else:
                found[declared.name] = declared, module
        return {name: found[name][0] for name in sorted(found)}

    def _ours(self) -> Iterator[tuple[N, str]]:
        for name in modules(importlib.import_module(self._package)):
            try:
                yield from list(in_module(importlib.import_module(name), self._kind, self._attribute))
            except Exception as error:
                self._broken.append(Broken(name, name.rpartition(".")[2], f"{type(error).__name__}: {error}"))
