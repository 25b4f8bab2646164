"""Parts by kind and name: those in our folders, and those of other packages by the entry-point group `ablate.parts`.

An entry point names a module with `PART` or `PARTS`, or a package whose modules have them. No part silently takes another's place:
one of ours that cannot be raises, and one of another package is left out and told by `broken`, so that it keeps nobody from the rest.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import TypeVar, cast

from ablate.errors import AblateError
from ablate.parts import declare
from ablate.parts.declare import KINDS, Field, Part
from ablate.parts.discover import Broken, in_package, installed

GROUP = "ablate.parts"

P = TypeVar("P", bound=Part)


class Unfit(AblateError):
    """A part whose declaration cannot be, and why."""

    def __init__(self, part: Part, why: str) -> None:
        super().__init__(f"{module_of(part)}: {why}")
        self.part, self.why = part, why


_added: list[tuple[Part, str]] = []
_broken: list[Broken] = []
_left_out: list[tuple[Part, str]] = []
_on_change: list[Callable[[], None]] = []


def parts(kind: type[P]) -> Mapping[str, P]:
    """All parts of a kind by name, in the order of their names."""
    return cast(Mapping[str, P], _all()[kind.__name__])


def module_of(part: Part) -> str:
    """The name of the module that declares a part."""
    return _modules()[part.kind, part.name]


def fields_of(kind: type[Part]) -> Mapping[str, Field]:
    """The settings of all parts of a kind by path. Raises Unfit where two declare one path differently."""
    found: dict[str, Field] = {}
    for part in sorted(parts(kind).values(), key=is_theirs):
        for path, declared in part.fields.items():
            if found.setdefault(path, declared) != declared:
                raise Unfit(part, f"{path} is declared differently by another part of the same kind")
    return found


def register(part: Part, module: str) -> None:
    """Add a part while the program runs, as a notebook or a test does; `module` is where its code lies."""
    _added.append((part, module))
    forget()


def unregister(part: Part) -> None:
    """Take back what `register` added."""
    _added[:] = [(one, module) for one, module in _added if one is not part]
    forget()


def on_change(forgets: Callable[[], None]) -> None:
    """`forgets` is called whenever parts come or go: the caches of what follows from them."""
    _on_change.append(forgets)


def forget() -> None:
    for cached in (_all, _modules, _installed):
        cached.cache_clear()
    for forgets in _on_change:
        forgets()


def is_theirs(part: Part) -> bool:
    """Whether a part is of another package."""
    return any(part is one for one, _, theirs in _declared() if theirs)


def leave_out(unfit: Unfit) -> None:
    """Do without a part of another package that cannot be; raises `unfit` where it is one of ours, or one that was registered."""
    if not is_theirs(unfit.part):
        raise unfit
    _left_out.append((unfit.part, unfit.why))
    forget()


@cache
def _all() -> Mapping[str, Mapping[str, Part]]:
    _broken[:] = _installed()[1]
    found: dict[str, dict[str, Part]] = {kind.__name__: {} for kind in KINDS}
    for part, module, theirs in _declared():
        same = found[type(part).__name__]
        why = next((why for one, why in _left_out if one is part), "")
        if part.name in same:
            why = f"{part.kind} {part.name!r} is already taken; rename the second one"
        if not why:
            same[part.name] = part
        elif theirs:
            _broken.append(Broken(f"{part.kind} {part.name!r} of {module}", part.name, why))
        else:
            raise AblateError(f"{module}: {why}")
    return {kind: dict(sorted(same.items())) for kind, same in found.items()}


@cache
def _modules() -> Mapping[tuple[str, str], str]:
    found: dict[tuple[str, str], str] = {}
    for part, module, _ in _declared():
        found.setdefault((part.kind, part.name), module)
    return found


def broken() -> tuple[Broken, ...]:
    """Parts of other packages that cannot be loaded, or cannot be; nothing of theirs can be named in a study."""
    _all()
    return tuple(_broken)


def _declared() -> Iterator[tuple[Part, str, bool]]:
    """Each part, its module, and whether it is of another package: ours first."""
    for part, module in (*_ours(), *_added):
        yield part, module, False
    for part, module in _installed()[0]:
        yield part, module, True


@cache
def _ours() -> tuple[tuple[Part, str], ...]:
    home = declare.__name__.rpartition(".")[0]
    folders = [importlib.import_module(f"{home}.{kind.folder}") for kind in KINDS]
    return tuple(found for folder in folders for found in in_package(folder, Part, "PART"))


@cache
def _installed() -> tuple[tuple[tuple[Part, str], ...], tuple[Broken, ...]]:
    """The parts of other packages, and their entry points that cannot be loaded."""
    cannot: list[Broken] = []
    return tuple(installed(GROUP, Part, "PART", cannot)), tuple(cannot)
