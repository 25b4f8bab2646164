"""The words of a command and what fills them. No shell: a command is split into words first, then filled in.

    {lora.r}       a value of the recipe, as written in the file. A list alone in its word becomes several words; inside a word it
                   is joined by commas
    {seed}         the run's seed                       } known when the run starts: they stand in the hash as these texts
    {run_dir}      the run's own folder, an absolute path }
    {{ and }}      a brace

A command that is filled but for `{seed}` and `{run_dir}` is a list of words again, in which values' own braces are doubled.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ablate.study.assign.foreign_recipe import Text

OF_THE_RUN = ("seed", "run_dir")
_PART = re.compile(r"\{\{|\}\}|\{([^\s{}]*)\}|[{}]|[^{}]+")


@dataclass(frozen=True)
class Hole:
    """A placeholder."""

    name: str


Word = tuple[str | Hole, ...]


def parse_word(text: str) -> Word:
    """A word's literal parts and placeholders. Raises ValueError for a brace that is neither doubled nor a placeholder's."""
    parts: list[str | Hole] = []
    for found in _PART.finditer(text):
        part = found.group()
        if part in ("{", "}", "{}"):
            raise ValueError(
                f"{text[:80]!r} has a stray brace; placeholders are {{path.in.recipe}}, {{seed}} and "
                "{run_dir}; double a brace to keep it: {{ or }}"
            )
        parts.append(part[0] if part in ("{{", "}}") else Hole(found[1]) if found[1] else part)
    return tuple(parts)


def holes(words: Iterable[Word]) -> list[str]:
    """The names of all placeholders, each once."""
    return list(dict.fromkeys(part.name for word in words for part in word if isinstance(part, Hole)))


def fill(words: Sequence[Word], texts: Mapping[str, Text]) -> list[str]:
    """The words with all that the recipe knows; what is of the run stays as it is."""
    filled: list[str] = []
    for word in words:
        alone = texts.get(word[0].name) if len(word) == 1 and isinstance(word[0], Hole) else None
        if isinstance(alone, tuple):
            filled += map(_doubled, alone)
        else:
            filled.append(fill_text(word, texts))
    return filled


def fill_text(word: Word, texts: Mapping[str, Text]) -> str:
    """One text the same way: a list in it is joined by commas."""
    return "".join(_part(part, texts) for part in word)


def expand(words: Sequence[str], seed: int, run_dir: str) -> list[str]:
    """The words of one run."""
    return [expand_text(word, seed, run_dir) for word in words]


def expand_text(text: str, seed: int, run_dir: str) -> str:
    """One text of one run."""
    known = {"seed": str(seed), "run_dir": run_dir}
    return "".join(known[part.name] if isinstance(part, Hole) else part for part in parse_word(text))


def _part(part: str | Hole, texts: Mapping[str, Text]) -> str:
    if isinstance(part, str):
        return _doubled(part)
    if part.name in OF_THE_RUN:
        return f"{{{part.name}}}"
    text = texts.get(part.name)  # a placeholder without a text is told of where all arms are known
    return _doubled(",".join(text) if isinstance(text, tuple) else text or "")


def _doubled(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")
