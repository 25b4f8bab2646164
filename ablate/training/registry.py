"""Code of the user's that a recipe names as `package.module:callable`: it is imported when it is needed."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from typing import Any

from ablate.errors import Problem, StudyError, nearest


def recipe_error(path: str, code: str, message: str) -> StudyError:
    """The error for a recipe that cannot be trained: `path` is the dotted field, `message` says what to write instead."""
    return StudyError([Problem(file="recipe", line=None, key=path, message=message, code=code)])


def import_callable(name: str, path: str) -> Callable[..., Any]:
    """What `package.module:callable` names; modules in the working folder are found too.

    Raises StudyError, with the recipe field `path`, where the module cannot be imported or holds no such callable.
    """
    try:
        return find_callable(name)
    except ImportError as error:
        module = name.partition(":")[0]
        raise recipe_error(
            path,
            "not-installed",
            f"cannot import {module!r} of {name!r}: {error}; install it, or run from the folder that holds it",
        ) from error
    except (LookupError, ValueError) as error:
        raise recipe_error(path, "unknown-name", str(error)) from error


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
