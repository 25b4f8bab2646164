"""`trainer: {config: ...}`: a config file that each run gets a copy of, with its own values in it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from ablate.errors import RunFailure, nearest
from ablate.study.assign import command_words
from ablate.study.assign.command_words import Hole, Word, doubled, parse_word
from ablate.study.assign.config_file import ENDINGS, ConfigFile, read_config
from ablate.study.assign.foreign_call import Filling, read_word
from ablate.study.assign.foreign_recipe import Written, check_free_path, nested_in
from ablate.study.document.keys import CONFIG
from ablate.study.document.problems import Problems, show
from ablate.study.document.source import Key

KEY: Key = ("trainer", "config")
NUMBERS = ("seed", "port", "threads")
"""Placeholders whose value alone is a whole number in the file."""
_MOST_BYTES = 4_000_000


@dataclass(frozen=True)
class Config:
    """`values` maps paths to what `set` says: texts as words with placeholders, inside lists and mappings, too."""

    file: Word = ()
    values: Mapping[str, object] = field(default_factory=dict)
    add: tuple[str, ...] = ()

    def words(self) -> list[Word]:
        """All that has placeholders."""
        return [self.file, *(word for value in self.values.values() for word in _words(value))]

    def paths(self, filling: Filling, named: Iterable[str]) -> list[str]:
        """The recipe's paths that are set in the file: all that no placeholder names."""
        taken = {name for name in named if not filling.is_of_the_run(name)}
        return sorted(path for path in filling.recipe if path not in taken)

    def hashed(self, filling: Filling, named: Iterable[str]) -> dict[str, object]:
        """The block as it is written, filled by the recipe, and which of the recipe's paths it sets."""
        said = {"set": {path: _filled(value, filling) for path, value in self.values.items()}} if self.values else {}
        add = {"add": sorted(self.add)} if self.add else {}
        return {"file": filling.text(self.file), "paths": self.paths(filling, named), **said, **add}


def read_config_block(problems: Problems, value: object) -> Config | None:
    """The `config` block; None where there is none. A broken one is read as far as it goes."""
    if value is None:
        return None
    spec = problems.mapping(KEY, value, "a mapping such as {file: base.yaml}")
    problems.known_keys(KEY, spec, CONFIG)
    file = problems.text((*KEY, "file"), "the path of a file")
    word = read_word(problems, (*KEY, "file"), file)
    if not file:
        if isinstance(value, dict):
            problems.add(KEY, "missing", "needs `file`, the config file that is changed for each run.")
    elif PurePath(file).suffix.lower() not in ENDINGS or PurePath(file).name == "recipe.json":
        allowed = f"must end in one of {', '.join(ENDINGS)}, and not be called recipe.json, as a file of ablate's is"
        problems.add((*KEY, "file"), "bad-format", f"{show(file)} {allowed}.")
    elif file.startswith(("/", "~")):
        problems.add((*KEY, "file"), "bad-format", f"{show(file)} must be relative to the study's folder.")
    for hole in command_words.holes([word]):
        if hole in (*command_words.OF_THE_RUN[1:], "config", "port"):
            problems.add(
                (*KEY, "file"),
                "bad-format",
                f"{{{hole}}} is not known before the run; name a file by the recipe or {{seed}}.",
            )
    place = (*KEY, "set")
    given = problems.mapping(place, spec.get("set"), "a mapping of paths in the file to values")
    values = {
        path: value for name, item in given.items() for path, value in _settings(problems, (*place, name), name, item)
    }
    add = problems.names((*KEY, "add"), spec["add"], "a path or a list of paths") if spec.get("add") is not None else []
    return Config(word, values, tuple(add))


def check_config(
    problems: Problems, config: Config, named: Sequence[str], fillings: Mapping[str, Filling], folder: Path
) -> None:
    """Every path that an arm (name -> filling) sets is in its base file; one problem for each that is not."""
    files: dict[str, ConfigFile | None] = {}
    told: set[str] = set()
    used: set[str] = set(config.values)
    for arm, filling in fillings.items():
        name = filling.text(config.file) or ""
        if name not in files:
            files[name] = _base(problems, folder, name)
        values = {path: filling.recipe[path].value for path in config.paths(filling, named)}
        used |= set(values)
        for path in [*values, *config.values]:
            if path in told or (base := files[name]) is None:
                continue
            if trouble := _trouble(path, arm, config, values, base, name):
                told.add(path)
                problems.add(_place(problems, path), *trouble)
    for index, path in enumerate(config.add):
        if not any(nested_in(path, other) for other in used):
            problems.add(
                (*KEY, "add", index), "unknown-name", f"nothing sets {show(path)}.{nearest(path, sorted(used))}"
            )


def written_config(
    block: Mapping[str, object], recipe: Mapping[str, object], folder: Path, known: Mapping[str, str], seed: int
) -> tuple[str, str]:
    """(name, text) of a run's own config file. `block` is the hashed one, `known` the texts of what is of the run.

    Raises RunFailure where the base has changed so that it no longer takes the paths.
    """
    run_dir = known["run_dir"]
    (name,) = command_words.expand([str(block["file"])], seed, run_dir, known)
    given, paths, add = block.get("set") or {}, block["paths"], block.get("add") or []
    assert isinstance(given, dict)
    assert isinstance(paths, list)
    assert isinstance(add, list)
    values = {path: _at(recipe, path) for path in paths}
    values |= {path: _expanded(value, seed, known) for path, value in given.items()}
    try:
        base = read_base(folder / name)
        for path, value in values.items():
            if not base.has(path) and not _may_add(path, add):
                raise ValueError(f"it has no {path!r}.{nearest(path, base.paths())}")
            base.set(path, value)
    except ValueError as error:
        raise RunFailure(f"the config file {folder / name} cannot be filled in: {error}") from None
    return PurePath(name).name, base.text()


def read_base(path: Path) -> ConfigFile:
    """A config file from the disk. Raises ValueError."""
    try:
        with path.open("rb") as stream:
            raw = stream.read(_MOST_BYTES + 1)
    except OSError as error:
        raise ValueError(f"cannot be read ({error.strerror})") from None
    if len(raw) > _MOST_BYTES:
        raise ValueError(f"has more than {_MOST_BYTES:,} bytes")
    try:
        return read_config(path.name, raw.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8 text") from None


def _base(problems: Problems, folder: Path, name: str) -> ConfigFile | None:
    literal = name.replace("{{", "{").replace("}}", "}")
    if "{seed}" in name:  # one file a seed: the run itself looks
        return None
    try:
        return read_base(folder / literal)
    except ValueError as error:
        code = "bad-format" if (folder / literal).is_file() else "absent-file"
        problems.add((*KEY, "file"), code, f"{literal}, looked for in {folder}: {error}.")
        return None


def _trouble(
    path: str, arm: str, config: Config, values: Mapping[str, object], base: ConfigFile, name: str
) -> tuple[str, str] | None:
    """(code, message) of what keeps a path from being set."""
    if path in config.values and (other := next((one for one in values if nested_in(path, one)), None)):
        return (
            "conflict",
            f"the recipe sets {other} in {name}, and `set` sets {path}; take one of them out, or name {{{other}}} in the command or in `set`.",
        )
    if not base.has(path) and not _may_add(path, config.add):
        hint = nearest(path, base.paths())
        return (
            "unknown-field",
            f"{name} has no {path!r}, and arm {arm} sets it.{hint} Where it is to be added, write add: [{path}]; else name it in the command.",
        )
    if path in values and (why := base.refuses(values[path])):
        return "wrong-type", f"{path} is {show(values[path])} in arm {arm}, and {why}."
    return None


def _may_add(path: str, add: Iterable[str]) -> bool:
    return any(path == one or path.startswith(f"{one}.") for one in add)


def _place(problems: Problems, path: str) -> Key:
    """Where the file says a path's value: in `set`, in the recipe (nested or dotted), else the block itself."""
    document = problems.document
    waiting: list[tuple[Key, str]] = [((*KEY, "set"), path), (("recipe",), path)]
    while waiting:
        key, rest = waiting.pop()
        if not rest:
            return key
        node = document.node(key)
        for name in node.named if node else ():
            if rest == name or rest.startswith(f"{name}."):
                waiting.append(((*key, name), rest[len(name) + 1 :]))
    return KEY


def _settings(problems: Problems, key: Key, path: str, value: object) -> Iterator[tuple[str, object]]:
    """What `set` says by whole paths: mappings nest them."""
    if not check_free_path(problems, key, path):
        return
    if isinstance(value, dict) and value:
        for name, item in value.items():
            yield from _settings(problems, (*key, name), f"{path}.{name}", item)
    else:
        yield path, _parsed(problems, key, value)


def _parsed(problems: Problems, key: Key, value: object) -> object:
    if isinstance(value, str):
        return read_word(problems, key, value)
    if isinstance(value, list):
        return [_parsed(problems, (*key, index), item) for index, item in enumerate(value)]
    if isinstance(value, dict):
        return {name: _parsed(problems, (*key, name), item) for name, item in value.items()}
    if isinstance(value, float) and value - value != 0:
        problems.add(key, "wrong-value", f"must be finite, not {show(value)}.")
    return value


def _words(value: object) -> list[Word]:
    if isinstance(value, tuple):
        return [value]
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [word for item in items for word in _words(item)]


def _filled(value: object, filling: Filling) -> object:
    """A value as it is hashed: a placeholder of the recipe alone is the recipe's own value, whatever its type."""
    if isinstance(value, tuple):
        part = value[0] if len(value) == 1 else ""
        if isinstance(part, Hole) and not filling.is_of_the_run(part.name):
            found = filling.recipe.get(part.name)
            return _doubled(found.value) if isinstance(found, Written) else ""
        return filling.text(value)
    return _mapped(value, lambda item: _filled(item, filling))


def _doubled(value: object) -> object:
    return doubled(value) if isinstance(value, str) else _mapped(value, _doubled)


def _expanded(value: object, seed: int, known: Mapping[str, str]) -> object:
    if not isinstance(value, str):
        return _mapped(value, lambda item: _expanded(item, seed, known))
    (text,) = command_words.expand([value], seed, known["run_dir"], known)
    word = parse_word(value)
    alone = word[0] if len(word) == 1 else ""
    return int(text) if isinstance(alone, Hole) and alone.name in NUMBERS else text


def _mapped(value: object, change: object) -> object:
    assert callable(change)
    if isinstance(value, list):
        return [change(item) for item in value]
    return {name: change(item) for name, item in value.items()} if isinstance(value, dict) else value


def _at(recipe: Mapping[str, object], path: str) -> object:
    """The value at a path of a nested recipe."""
    found: object = recipe
    for name in path.split("."):
        assert isinstance(found, Mapping)
        found = found[name]
    return found
