"""The words of a command and what fills them. No shell: a command is split into words first, then filled in.

    {lora.r}       a value of the recipe, as written in the file. A list alone in its word becomes several words; inside a word it
                   is joined by commas
    {amp?--amp}    a whole word, there where the recipe's value is true; {bias?--bias|--no-bias} has one for each case
    {seed}         the run's seed                       } known when the run starts: they stand in the hash as these texts
    {run_dir}      the run's own folder, an absolute path }
    {threads} {study_dir} {port} {config} {checkpoint}    } the same, where the recipe has no path of that name
    {{ and }}      a brace

A command that is filled but for what is of the run is a list of words again, in which values' own braces are doubled.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from ablate.study.assign.foreign_recipe import Text

OF_THE_RUN = ("seed", "run_dir")
"""Placeholders that the run fills, whatever the recipe has."""
OFFERED = ("threads", "study_dir", "port", "config", "checkpoint")
"""Those that it fills where the recipe has no such path, or the trainer has a key of that name."""

_PART = re.compile(
    r"\{\{|\}\}"
    r"|\{(?P<both>[^\s{}?|]+)\?(?P<on>[^{}|]*)\|(?P<off>[^{}|]*)\}|\{(?P<one>[^\s{}?|]+)\?(?P<only>[^{}|]+)\}"
    r"|\{(?P<hole>[^\s{}]*)\}|[{}]|[^{}]+"
)


@dataclass(frozen=True)
class Hole:
    """A placeholder."""

    name: str


@dataclass(frozen=True)
class Flag:
    """A word that hangs on whether the recipe's value is true. An empty text is no word."""

    name: str
    on: str
    off: str = ""


Word = tuple[str | Hole | Flag, ...]


def parse_parts(text: str) -> Word:
    """Literal parts and placeholders. Raises ValueError for a brace that is neither doubled nor a placeholder's."""
    parts: list[str | Hole | Flag] = []
    for found in _PART.finditer(text):
        part = found.group()
        if part in ("{", "}", "{}"):
            raise ValueError(
                f"{text[:80]!r} has a stray brace; placeholders are {{path.in.recipe}}, {{seed}} and "
                "{run_dir}; double a brace to keep it: {{ or }}"
            )
        if found["both"]:
            parts.append(Flag(found["both"], found["on"], found["off"]))
        elif found["one"]:
            parts.append(Flag(found["one"], found["only"]))
        elif found["hole"]:
            parts.append(Hole(found["hole"]))
        else:
            parts.append(part[0] if part in ("{{", "}}") else part)
    return tuple(parts)


def parse_word(text: str) -> Word:
    """A word's parts. Raises ValueError for a stray brace, and for a flag with something beside it."""
    parts = parse_parts(text)
    flag = next((part for part in parts if isinstance(part, Flag)), None)
    if flag is not None and len(parts) > 1:
        raise ValueError(f"{text[:80]!r}: {{{flag.name}?...}} is a whole word; put a blank before and after it")
    return parts


def split(line: str) -> list[str]:
    """The words of a command line, as a shell would split them. Raises ValueError with what is open."""
    try:
        return shlex.split(line)
    except ValueError as error:
        raise ValueError(f"cannot be split into words: {str(error).lower()}") from None


def holes(words: Iterable[Word]) -> list[str]:
    """The names of all placeholders, each once."""
    return list(dict.fromkeys(part.name for word in words for part in word if isinstance(part, Hole | Flag)))


def flags(words: Iterable[Word]) -> list[str]:
    """The names of those that ask for a truth value."""
    return list(dict.fromkeys(part.name for word in words for part in word if isinstance(part, Flag)))


def chosen(words: Iterable[Word], values: Mapping[str, object]) -> list[Word]:
    """The words with each flag's text for the recipe's value in its place, or without the word."""
    kept: list[Word] = []
    for word in words:
        flag = word[0] if len(word) == 1 else None
        if not isinstance(flag, Flag):
            kept.append(word)
        elif text := flag.on if values.get(flag.name) else flag.off:
            kept.append((text,))
    return kept


def is_of_the_run(name: str, texts: Iterable[str], own: Iterable[str] = ()) -> bool:
    """Whether the run fills a placeholder: `texts` are the recipe's paths, `own` what the trainer has a key for."""
    return name in OF_THE_RUN or name in own or (name in OFFERED and name not in texts)


def fill(words: Sequence[Word], texts: Mapping[str, Text], own: Sequence[str] = ()) -> list[str]:
    """The words with all that the recipe knows; what is of the run stays as it is."""
    filled: list[str] = []
    for word in words:
        name = word[0].name if len(word) == 1 and isinstance(word[0], Hole) else None
        alone = texts.get(name) if name and not is_of_the_run(name, texts, own) else None
        if isinstance(alone, tuple):
            filled += map(doubled, alone)
        else:
            filled.append("".join(fill_part(part, texts, own) for part in word))
    return filled


def expand(
    words: Iterable[str],
    seed: int,
    run_dir: str,
    more: Mapping[str, str] | None = None,
    quote: Callable[[str], str] = str,
) -> list[str]:
    """The words of one run. `more` are texts of what is offered; `quote` is put around each of what is filled in."""
    known = {"seed": str(seed), "run_dir": run_dir, **(more or {})}
    return [
        "".join(part if isinstance(part, str) else quote(known[part.name]) for part in parse_parts(word))
        for word in words
    ]


def fill_part(
    part: str | Hole | Flag, texts: Mapping[str, Text], own: Sequence[str] = (), quote: Callable[[str], str] = str
) -> str:
    """The text of one part, in which braces are doubled; of what is of the run the placeholder itself."""
    if isinstance(part, str):
        return doubled(part)
    if is_of_the_run(part.name, texts, own):
        return f"{{{part.name}}}"
    text = texts.get(part.name)  # a placeholder without a text is told of where all arms are known
    return doubled(quote(",".join(text) if isinstance(text, tuple) else text or ""))


def doubled(text: str) -> str:
    """A text that stays as it is when it is filled in."""
    return text.replace("{", "{{").replace("}", "}}")
