"""`--set PATH=VALUE`: what it sets, and the variant of a study that it makes.

A value is YAML where all of it is plain YAML in one line: a number, `true`, a list, a mapping, a quoted text. Where YAML would drop
a part or take it for syntax of its own (`#ff0000`, `&a b`, `*x`, `!tag`, `>`, `a: b`, a line break), it is text as it stands.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import yaml

from ablate.errors import Problem, StudyError
from ablate.parts.weights import same_init
from ablate.study.assign.assign import read_settings
from ablate.study.assign.foreign_recipe import Written, plain, unknown_path
from ablate.study.designs.profiles import fixed_by
from ablate.study.document.problems import Problems
from ablate.study.document.source import Document, is_plain_word, parse, scalar
from ablate.study.recipes.digest import canonical_json
from ablate.study.recipes.recipe import nest, weights_paths
from ablate.study.values.study import Factor

_OPENERS = ("[", "{", '"', "'")


def read_sets(
    problems: Problems, texts: Iterable[str], factors: tuple[Factor, ...], known: Sequence[str]
) -> dict[str, Any]:
    """`--set path=value` as settings by path; they change the base, and levels apply after them."""
    settings: dict[str, Any] = {}
    for text in texts:
        path, equals, value = (part.strip() for part in text.partition("="))
        shown = f"--set {text}"
        if not equals or not path:
            problems.errors.append(Problem(shown, None, "", "must be PATH=VALUE, as in --set epochs=3.", "bad-format"))
            continue
        try:
            document = _document(path, value, shown)
        except StudyError as error:
            problems.errors += [replace(problem, line=None, key="") for problem in error.problems]
            continue
        own = Problems(document, free=problems.free, stored=problems.stored)
        for name, item in read_settings(own, (), document.data).items():
            if name in settings:
                own.add((), "duplicate", f"{name} is set twice on the command line; keep one.")
            elif wrong := problems.free and unknown_path(name, known):
                own.add((), "unknown-field", wrong)
            elif factor := fixed_by(factors, name):
                own.add((), "no-effect", f"every level of {factor} sets {name}, so this has no effect.")
            settings[name] = item
        problems.absent |= own.absent
        problems.errors += [Problem(shown, None, "", problem.message, problem.code) for problem in own.errors]
    return settings


def effective(
    settings: Mapping[str, Any], differs: Callable[[Mapping[str, Any], Mapping[str, Any]], bool]
) -> dict[str, Any]:
    """The settings without which something resolved would be another; `differs` compares what two sets of them come to."""
    left = dict(settings)
    for path in sorted(settings):
        rest = {name: value for name, value in left.items() if name != path}
        if not differs(left, rest):
            left = rest
    return left


def texts_of(settings: Mapping[str, Any], filled: Iterable[str] = ()) -> tuple[str, ...]:
    """Each setting as `path=value`, sorted: a form that `--set` reads again, and one for each resolved value.

    `filled` are the settings whose text fills a command: `1e-4` and `0.0001` are two values there, and one elsewhere.
    """
    words = set(filled)
    return tuple(sorted(f"{path}={_text(path, value, path in words)}" for path, value in settings.items()))


def text_of_value(path: str, value: object) -> str:
    """A setting as one line of YAML, which reads back as the same value, and of another trainer as the same text."""
    return _text(path, value, is_filled=True)


def recipe_yaml(base: Mapping[str, Any]) -> str:
    """A recipe by dotted path as the YAML of its sections."""
    values = json.loads(canonical_json({path: plain(value) for path, value in base.items()}))
    return yaml.safe_dump(nest(values), sort_keys=False, allow_unicode=True, width=110)


def file_name(study: str, sets: Sequence[str] = (), scale: str = "") -> str:
    """What files are called: `quickstart`; `quickstart-cpu` at a scale that the plain name does not mean; `quickstart[y=2]` for a
    variant. Of a scale or a variant that makes no good name, a digest stands there instead."""
    name = f"{study}-{_in_a_name(scale)}" if scale else study
    return f"{name}[{_in_a_name(','.join(sets))}]" if sets else name


def _in_a_name(text: str) -> str:
    return text if re.fullmatch(r"[A-Za-z0-9._=,+-]{1,60}", text) else hashlib.sha256(text.encode()).hexdigest()[:8]


# Reading --------------------------------------------------------------------------------------------------------------


def _document(path: str, value: str, shown: str) -> Document:
    """`path: value` as a document. Raises StudyError for what begins like a list, a mapping or a quoted text and is none."""
    line = f"{_quoted(path)}: {value}"
    if value.startswith(_OPENERS):
        try:
            document = parse(line, shown)
        except StudyError as error:
            hint = " Quote text that begins like this."
            raise StudyError(
                [replace(problem, message=problem.message.rstrip(".") + "." + hint) for problem in error.problems]
            ) from None
        if _is_whole(value, line):
            return document
    elif _is_plain(value, line):
        return parse(line, shown)
    return parse(f"{_quoted(path)}: {_quoted(value)}", shown)


def _is_plain(value: str, line: str) -> bool:
    """Whether YAML reads the value as one plain scalar with just this text."""
    try:
        events = list(yaml.parse(line, Loader=yaml.SafeLoader))
    except yaml.YAMLError:
        return False
    scalars = [event for event in events if isinstance(event, yaml.ScalarEvent)]
    if len(events) != 8 or len(scalars) != 2:
        return False
    found = scalars[1]
    return found.value == value and found.style is None and found.anchor is None and found.tag is None


def _is_whole(value: str, line: str) -> bool:
    """Whether a list, mapping or quoted text is all that stands there, without anchors, tags, comments, or names without
    a value (`{x}`)."""
    if len(value.splitlines()) > 1:
        return False
    events = list(yaml.parse(line, Loader=yaml.SafeLoader))
    inner = events[4:-3]  # after the starts of stream, document and mapping, and the key
    odd = any(
        isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) or getattr(event, "tag", None)
        for event in inner
    )
    empty = any(isinstance(event, yaml.ScalarEvent) and event.style is None and not event.value for event in inner)
    end = inner[-1].end_mark
    return not odd and not empty and end is not None and end.index == len(line)


# Writing --------------------------------------------------------------------------------------------------------------


def _text(path: str, value: object, is_filled: bool) -> str:
    if isinstance(value, Written):
        if is_filled and value.text is not None and not isinstance(value.value, str):
            return value.text if isinstance(value.text, str) else _listed(value.value, value.text)
        value = value.value
    if path in weights_paths() and isinstance(value, str | Mapping):
        value = same_init(value)
    if not isinstance(value, str):
        return _flow(value)
    alone = isinstance(scalar(value), str) and not value.startswith(_OPENERS) and _is_plain(value, f"x: {value}")
    return value if alone else _quoted(value)


def _listed(values: Sequence[Any], texts: Sequence[str]) -> str:
    """A list whose numbers stand as they were written."""
    items = [_flow(value) if isinstance(value, str) else text for value, text in zip(values, texts, strict=True)]
    return f"[{', '.join(items)}]"


def _flow(value: object) -> str:
    """A value in one line of YAML."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_flow(name)}: {_flow(value[name])}" for name in sorted(value)) + "}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_flow, value))}]"
    if isinstance(value, str):
        return value if is_plain_word(value) and isinstance(scalar(value), str) else _quoted(value)
    return canonical_json(value)


def _quoted(text: str) -> str:
    """A text in YAML's double quotes."""
    plain = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{"".join(map(_escaped, plain))}"'


def _escaped(character: str) -> str:
    if character == " " or character.isprintable():
        return character
    return f"\\U{ord(character):08x}" if ord(character) > 0xFFFF else f"\\u{ord(character):04x}"
