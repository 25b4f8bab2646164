"""Parts by kind and name: those in our folders, and those of other packages by the entry-point group `ablate.parts`.

An entry point names a module with `PART` or `PARTS`, or a package whose modules have them. A name that is taken raises, so that no
part silently takes another's place.
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

_added: list[tuple[Part, str]] = []
_broken: list[Broken] = []
_on_change: list[Callable[[], None]] = []


def parts(kind: type[P]) -> Mapping[str, P]:
    """All parts of a kind by name, in the order of their names."""
    return cast(Mapping[str, P], _all()[kind.__name__])


def module_of(part: Part) -> str:
    """The name of the module that declares a part."""
    return _modules()[part.kind, part.name]


def fields_of(kind: type[Part]) -> Mapping[str, Field]:
    """The settings of all parts of a kind by path. Raises AblateError where two declare one path differently."""
    found: dict[str, Field] = {}
    for part in parts(kind).values():
        for path, declared in part.fields.items():
            if found.setdefault(path, declared) != declared:
                raise AblateError(f"{module_of(part)}: {path} is declared otherwise by another part of the same kind")
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
    _all.cache_clear()
    _modules.cache_clear()
    for forgets in _on_change:
        forgets()


@cache
def _all() -> Mapping[str, Mapping[str, Part]]:
    found: dict[str, dict[str, Part]] = {kind.__name__: {} for kind in KINDS}
    for part, module in _declared():
        same = found[type(part).__name__]
        if part.name in same:
            raise AblateError(f"{module}: {part.kind} {part.name!r} is taken already; give the second one another name")
        same[part.name] = part
    return {kind: dict(sorted(same.items())) for kind, same in found.items()}


@cache
def _modules() -> Mapping[tuple[str, str], str]:
    return {(part.kind, part.name): module for part, module in _declared()}


def broken() -> tuple[Broken, ...]:
    """Entry points of other packages that cannot be loaded; nothing of theirs can be named in a study."""
    _all()
    return tuple(_broken)


def _declared() -> Iterator[tuple[Part, str]]:
    home = declare.__name__.rpartition(".")[0]
    for kind in KINDS:
        yield from in_package(importlib.import_module(f"{home}.{kind.folder}"), Part, "PART")
    _broken.clear()
    yield from installed(GROUP, Part, "PART", _broken)
    yield from _added
