"""Somebody's config file: what paths it has, and the same file with other values. YAML, TOML, JSON and INI, by its ending.

A YAML file is changed node by node: what is not set stays as it was written (tags, quotes, `yes`), but for comments. Numbers
are written so that YAML 1.1 reads numbers: `1.0e-05`.
"""

from __future__ import annotations

import configparser
import io
import json
import tomllib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import PurePath

import yaml

from ablate.study.document.source import scalar

ENDINGS = (".yaml", ".yml", ".toml", ".json", ".ini", ".cfg")
_MERGE = "tag:yaml.org,2002:merge"
_MAP, _TEXT = "tag:yaml.org,2002:map", "tag:yaml.org,2002:str"


class ConfigFile(ABC):
    """A file that has been read. Paths are names joined by dots; numbers index lists."""

    @abstractmethod
    def paths(self) -> Iterator[str]:
        """All paths, sections before what is in them."""

    @abstractmethod
    def has(self, path: str) -> bool: ...

    @abstractmethod
    def set(self, path: str, value: object) -> None:
        """Raises ValueError where the file can hold no such path."""

    @abstractmethod
    def text(self) -> str: ...

    def refuses(self, value: object) -> str:
        """Why a file of this kind cannot hold a value; empty where it can."""
        return ""


def read_config(name: str, text: str) -> ConfigFile:
    """A file by its ending (one of `ENDINGS`). Raises ValueError with what is wrong with its text."""
    ending = PurePath(name).suffix.lower()
    try:
        if ending in (".yaml", ".yml"):
            return YamlFile(text)
        if ending == ".json":
            return JsonFile(json.loads(text) if text.strip() else {})
        return TomlFile(tomllib.loads(text)) if ending == ".toml" else IniFile(text)
    except yaml.MarkedYAMLError as error:
        line = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ValueError(f"not valid YAML{line}: {error.problem or error.context}") from None
    except (ValueError, yaml.YAMLError, configparser.Error, RecursionError) as error:
        raise ValueError(f"not valid {(ending or name).lstrip('.').upper()}: {' '.join(str(error).split())}") from None


class _Tree(ABC):
    """Walks nested sections and lists; how a node looks is the subclass's business."""

    def __init__(self, root: object) -> None:
        self.root = root

    def paths(self) -> Iterator[str]:
        waiting = [("", self.root)]
        while waiting:
            before, node = waiting.pop()
            names = [(f"{before}{name}", child) for name, child in self._children(node)]
            yield from (path for path, _ in names)
            waiting += [(f"{path}.", child) for path, child in reversed(names)]

    def has(self, path: str) -> bool:
        node: object | None = self.root
        try:
            for step in path.split("."):
                node = self._child(node, step)
        except KeyError:
            return False
        return True

    def set(self, path: str, value: object) -> None:
        node = self.root
        *above, last = path.split(".")
        for step in above:
            try:
                child = self._section(self._child(node, step))
            except KeyError:
                child = self._section(None)
            self._put(node, step, child)
            node = child
        self._put(node, last, self._leaf(value))

    @abstractmethod
    def _children(self, node: object) -> Iterator[tuple[str, object]]: ...

    @abstractmethod
    def _child(self, node: object, step: str) -> object:
        """Raises KeyError."""

    @abstractmethod
    def _put(self, node: object, step: str, child: object) -> None: ...

    @abstractmethod
    def _section(self, node: object) -> object:
        """The node where it has children, else a new section in its place."""

    @abstractmethod
    def _leaf(self, value: object) -> object: ...


class JsonFile(_Tree, ConfigFile):
    def text(self) -> str:
        return json.dumps(self.root, indent=2, ensure_ascii=False) + "\n"

    def _children(self, node: object) -> Iterator[tuple[str, object]]:
        if isinstance(node, dict):
            yield from node.items()
        elif isinstance(node, list):
            yield from ((str(index), child) for index, child in enumerate(node))

    def _child(self, node: object, step: str) -> object:
        if isinstance(node, dict):
            return node[step]
        if isinstance(node, list) and _index(step) < len(node):
            return node[_index(step)]
        raise KeyError(step)

    def _put(self, node: object, step: str, child: object) -> None:
        if isinstance(node, list):
            _put_item(node, step, child)
        elif isinstance(node, dict):
            node[step] = child

    def _section(self, node: object) -> object:
        return node if isinstance(node, dict | list) else {}

    def _leaf(self, value: object) -> object:
        return value


class TomlFile(JsonFile):
    def text(self) -> str:
        import tomli_w

        assert isinstance(self.root, dict)
        return tomli_w.dumps(self.root)

    def refuses(self, value: object) -> str:
        return "TOML has no null" if _holds_null(value) else ""


class YamlFile(_Tree, ConfigFile):
    def __init__(self, text: str) -> None:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        super().__init__(self._section(root))

    def text(self) -> str:
        assert isinstance(self.root, yaml.Node)
        return str(yaml.serialize(self.root, Dumper=yaml.SafeDumper, allow_unicode=True, width=2**31))

    def _children(self, node: object) -> Iterator[tuple[str, object]]:
        if isinstance(node, yaml.SequenceNode):
            yield from ((str(index), child) for index, child in enumerate(node.value))
        elif isinstance(node, yaml.MappingNode):
            for key, child in node.value:
                if key.tag == _MERGE:
                    merged = child.value if isinstance(child, yaml.SequenceNode) else [child]
                    yield from (found for each in merged for found in self._children(each))
                elif isinstance(key, yaml.ScalarNode):
                    yield key.value, child

    def _child(self, node: object, step: str) -> object:
        merged = dict(reversed(list(self._children(node))))  # the first of two that are merged counts
        return {**merged, **dict(_own(node))}[step]

    def _put(self, node: object, step: str, child: object) -> None:
        if isinstance(node, yaml.SequenceNode):
            _put_item(node.value, step, child)
        elif isinstance(node, yaml.MappingNode):
            names = [key.value if key.tag != _MERGE else None for key, _ in node.value]
            if step in names:
                place = names.index(step)
                node.value[place] = node.value[place][0], child
            else:
                node.value.append((yaml.ScalarNode(_TEXT, step), child))

    def _section(self, node: object) -> object:
        """A copy: what is set in one place is not set wherever an alias leads to it."""
        if isinstance(node, yaml.SequenceNode):
            return yaml.SequenceNode(node.tag, [*map(_copied, node.value)], flow_style=node.flow_style)
        if isinstance(node, yaml.MappingNode):
            items = [(_copied(key), _copied(child)) for key, child in node.value]
            return yaml.MappingNode(node.tag, items, flow_style=node.flow_style)
        return yaml.MappingNode(_MAP, [], flow_style=False)

    def _leaf(self, value: object) -> object:
        node = yaml.SafeDumper(io.StringIO()).represent_data(value)
        for text in _texts(node):
            if scalar(text.value) != text.value:  # a number to readers of YAML 1.2
                text.style = "'"
        return node


class IniFile(ConfigFile):
    """Values are texts; a path is a section and an option."""

    def __init__(self, text: str) -> None:
        self._parser = configparser.ConfigParser(interpolation=None, allow_no_value=True)
        self._parser.optionxform = str  # type: ignore[assignment, method-assign]
        self._parser.read_string(text)

    def paths(self) -> Iterator[str]:
        for section, options in self._parser.items():
            yield from (f"{section}.{option}" for option in options)

    def has(self, path: str) -> bool:
        return any(self._parser.has_option(section, option) for section, option in _splits(path))

    def set(self, path: str, value: object) -> None:
        places = list(_splits(path))
        if not places:
            raise ValueError(f"{path} has no section; in an INI file a path is SECTION.OPTION")
        there = [place for place in places if self._parser.has_option(*place)]
        section, option = (there or [place for place in places if self._parser.has_section(place[0])] or places)[0]
        if section != self._parser.default_section and not self._parser.has_section(section):
            self._parser.add_section(section)
        self._parser.set(section, option, _ini(value))

    def text(self) -> str:
        written = io.StringIO()
        self._parser.write(written)
        return written.getvalue()

    def refuses(self, value: object) -> str:
        return "an INI file holds no mapping" if isinstance(value, dict) else ""


def _splits(path: str) -> Iterator[tuple[str, str]]:
    """(section, option) of a path: either may hold dots. The longest section comes first."""
    parts = path.split(".")
    return ((".".join(parts[:end]), ".".join(parts[end:])) for end in range(len(parts) - 1, 0, -1))


def _ini(value: object) -> str | None:
    if isinstance(value, list):
        return ", ".join(str(_ini(item) or "") for item in value)
    if isinstance(value, bool):
        return str(value).lower()
    return None if value is None else str(value)


def _own(node: object) -> Iterator[tuple[str, object]]:
    """A YAML node's children without what is merged into it."""
    if isinstance(node, yaml.SequenceNode):
        yield from ((str(index), child) for index, child in enumerate(node.value))
    elif isinstance(node, yaml.MappingNode):
        yield from ((key.value, child) for key, child in node.value if isinstance(key, yaml.ScalarNode))


def _copied(node: object) -> object:
    return yaml.ScalarNode(node.tag, node.value, style=node.style) if isinstance(node, yaml.ScalarNode) else node


def _texts(node: object) -> Iterator[yaml.ScalarNode]:
    if isinstance(node, yaml.ScalarNode) and node.tag == _TEXT:
        yield node
    for _, child in _own(node):
        yield from _texts(child)


def _holds_null(value: object) -> bool:
    items = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    return value is None or any(map(_holds_null, items))


def _index(step: str) -> int:
    if step.isascii() and step.isdigit() and len(step) < 10:
        return int(step)
    raise KeyError(step)


def _put_item(items: list[object], step: str, child: object) -> None:
    """Set an item of a list, or append the one after its last."""
    try:
        index = _index(step)
    except KeyError:
        raise ValueError(f"{step!r} is no place in a list; write a number from 0") from None
    if index > len(items):
        raise ValueError(f"the list has {len(items)} items, so there is no place {step}")
    items[index : index + 1] = [child]
