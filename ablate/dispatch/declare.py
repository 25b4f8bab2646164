"""What an executor declares of itself: its options, what it needs, and how it is made.

Declarations are read whenever the command line starts, so nothing at the top of a declaration's file imports the engine's own
library, a database or torch; `make` does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from ablate.study.values.resources import Resources, memory_of

if TYPE_CHECKING:
    from ablate.dispatch.contract.executor import Executor

Options = Mapping[str, Any]
Asks = Callable[[Resources, Options, Options], Options]
"""What a run takes, the site's options and the command line's, to the options that hold: see `Engine.asks`."""

Where = Literal["this process", "this host", "elsewhere"]


@dataclass(frozen=True)
class Option:
    """One option of an engine. `read` takes what YAML or KEY=VALUE gives to the value, and raises ValueError with what it must
    be. `default` is written as people write it and goes through `read`; None leaves the option out."""

    read: Callable[[Any], Any]
    about: str
    default: Any = None

    def __str__(self) -> str:
        return self.about if self.default is None else f"{self.about} ({self.default})"


@dataclass(frozen=True, kw_only=True)
class Engine:
    """An executor as `--executor NAME` names it; `--NAME KEY=VALUE` and `NAME:` in the site file give its options.

    make       options, defaults filled in, to the `Executor`; raises UsageError where a library is not there
    where      where its workers are: in this process, in processes of this host, or elsewhere (then `--spool` is for it)
    example    a KEY=VALUE that shows how an option is written
    packages   what `ablate doctor` looks for, by distribution, with what `pip install` takes
    programs   what must be on PATH
    asks       how a study's `resources` are asked for: over the site's settings, with those of the command line over both.
               None: its workers count what their host has
    """

    name: str
    about: str
    make: Callable[[Options], Executor]
    where: Where = "elsewhere"
    options: Mapping[str, Option] = field(default_factory=dict)
    example: str = ""
    packages: Mapping[str, str] = field(default_factory=dict)
    programs: tuple[str, ...] = ()
    asks: Asks | None = None

    def complete(self, given: Options) -> dict[str, Any]:
        """The options with the defaults of those that are not given."""
        defaults = {name: one.read(one.default) for name, one in self.options.items() if one.default is not None}
        return {**defaults, **given}


# What options are read by --------------------------------------------------------------------------------------------


def text(value: object) -> str:
    if isinstance(value, bool | Mapping | list) or value is None or not str(value).strip():
        raise ValueError("must be a text")
    if any(ord(character) < 32 for character in str(value)):
        raise ValueError("must be one line")
    return str(value)


def count(value: object) -> int:
    if not re.fullmatch(r"\d+", str(value)):
        raise ValueError("must be a whole number, 0 or more")
    return int(str(value))


def positive(value: object) -> int:
    if not re.fullmatch(r"0*[1-9]\d*", str(value)):
        raise ValueError("must be a whole number, 1 or more")
    return int(str(value))


def memory(value: object) -> int:
    """Bytes of a text such as 20G."""
    try:
        return memory_of(str(value))
    except ValueError:
        raise ValueError("must be an amount with its unit M, G or T, such as 20G") from None


def number(value: object) -> float:
    if not re.fullmatch(r"\d+(\.\d+)?", str(value)):
        raise ValueError("must be a number, 0 or more, such as 1 or 0.5")
    return float(str(value))


def lines(value: object) -> list[str]:
    """A list of texts, or one; on the command line it may be repeated."""
    return [text(line) for line in value] if isinstance(value, list) else [text(value)]


def flags(value: object) -> dict[str, Any]:
    """Texts or booleans by name; on the command line `KEY.NAME=VALUE`."""
    return _named(value, lambda item: item if isinstance(item, bool) else text(item))


def amounts(value: object) -> dict[str, Any]:
    """Numbers by name; on the command line `KEY.NAME=AMOUNT`."""
    return _named(value, number)


def _named(value: object, read: Callable[[Any], Any]) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError("must name each option, as in NAME: VALUE")
    for name in value:
        if not re.fullmatch(r"[\w-]+", str(name)):
            raise ValueError(f"{name!r} is not an option")
    return {str(name): read(item) for name, item in value.items()}
