"""Names and what they stand for: one `Registry` for each kind of part that a recipe names.

A name is either registered here, or `package.module:callable`, which is imported when it is needed. Registering one name
twice raises, so that no part silently takes another's place.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from ablate.errors import AblateError, Problem, StudyError, nearest

T = TypeVar("T", bound=Callable[..., Any])


def recipe_error(path: str, message: str) -> StudyError:
    """The error for a recipe that cannot be trained: `path` is the dotted field, `message` says what to write instead."""
    return StudyError([Problem(file="recipe", line=None, key=path, message=message)])


class Registry(Generic[T]):
    """Factories by name. `path` is the recipe field that names them, as in `model.arch`."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._known: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """A decorator that puts its function under `name`. Raises AblateError where the name is taken."""

        def put(factory: T) -> T:
            if name in self._known:
                raise AblateError(f"{self.path}: {name!r} is registered already; give the second one a name of its own")
            self._known[name] = factory
            return factory

        return put

    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self._known))

    def owns(self, name: str) -> bool:
        """Whether `name` is one of ours, rather than `package.module:callable`."""
        return name in self._known

    def get(self, name: str) -> T:
        """The factory called `name`. Raises StudyError that lists what is allowed."""
        if name in self._known:
            return self._known[name]
        if ":" in name:
            return import_callable(name, self.path)  # type: ignore[return-value]
        raise recipe_error(
            self.path,
            f"unknown name {name!r}; allowed: {', '.join(self.names())}, or package.module:callable."
            f"{nearest(name, self._known)}",
        )


def import_callable(name: str, path: str) -> Callable[..., Any]:
    """What `package.module:callable` names; modules in the working folder are found too.

    Raises StudyError, with the recipe field `path`, where the module cannot be imported or holds no such callable.
    """
    try:
        return find_callable(name)
    except ImportError as error:
        module = name.partition(":")[0]
        raise recipe_error(
            path, f"cannot import {module!r} of {name!r}: {error}; install it, or run from the folder that holds it"
        ) from error
    except (LookupError, ValueError) as error:
        raise recipe_error(path, str(error)) from error


def find_callable(name: str) -> Callable[..., Any]:
    """What `package.module:callable` names; modules in the working folder and in those of `search_also` are found too.

    Raises ImportError where there is no such module, ValueError for a name of another form, LookupError where the module
    holds no such callable.
    """
    module_name, _, attribute = name.partition(":")
    if not module_name or not attribute or module_name.startswith("."):
        raise ValueError(f"{name!r} is not of the form package.module:callable")
    if "" not in sys.path:
        search_also(os.getcwd())
    importlib.invalidate_caches()  # a module may have come since another was looked for
    module = importlib.import_module(module_name)
    found = getattr(module, attribute, None)
    if not callable(found):
        known = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        raise LookupError(f"{module_name!r} has no callable {attribute!r}.{nearest(attribute, known)}")
    return found  # type: ignore[no-any-return]


def search_also(folder: str) -> None:
    """Let modules in `folder` be imported, after all others."""
    if folder not in sys.path:
        sys.path.append(folder)
