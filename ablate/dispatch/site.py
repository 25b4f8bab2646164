"""A cluster's own options: what `--slurm`, `--ray` and the like say, and before them the site file.

A study file says what is trained and is the same everywhere; partitions, accounts and modules belong to a place. So
they stand in `$ABLATE_HOME/site.yaml` (or the file that ABLATE_SITE names), and the command line overrides them:

    slurm: {partition: gpu, account: vision, time: "4:00:00", gres: "gpu:1", setup: [module load cuda/12]}
    ray: {address: "head:6379", num_gpus: 0.5}
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ablate.dispatch.declare import Engine
from ablate.dispatch.executors import ENGINES
from ablate.errors import NotFound, StudyError, UsageError, nearest
from ablate.study.document import source
from ablate.study.recipes import places
from ablate.study.values.resources import UNSAID, Resources

Options = dict[str, Any]


def sections() -> Mapping[str, Engine]:
    """The engines that have options."""
    return {name: engine for name, engine in ENGINES.all().items() if engine.options}


def site_file(home: Path) -> Path | None:
    """The site file: ABLATE_SITE, else `site.yaml` in ABLATE_HOME where there is one. Raises NotFound."""
    named = places.variable(places.SITE)
    if named:
        path = places.expand(named, places.SITE)
        if not path.is_file():
            raise NotFound(f"ABLATE_SITE names {path}, which does not exist.")
        return path
    path = home / "site.yaml"
    return path if path.is_file() else None


def options(section: str, items: Iterable[str], home: Path, needs: Resources = UNSAID) -> Options:
    """The options of an engine, such as `slurm`: the site file's, over them what one run `needs`, then `KEY=VALUE` items of the
    command line.

    Raises UsageError for what is unknown or cannot be meant, with what is allowed.
    """
    path = site_file(home)
    merged = _read_file(path, section) if path is not None else {}
    said = _from_items(section, items)
    if needs and (asks := sections()[section].asks):
        merged = dict(asks(needs, merged, {name: said[name] for name in said if name != "extra"}))
    for name, value in said.items():
        both = isinstance(value, dict) and isinstance(merged.get(name), dict)
        merged[name] = {**merged[name], **value} if both else value
    return merged


def _read_file(path: Path, section: str) -> Options:
    try:
        data = source.read(path).data
    except StudyError as error:
        names = ", ".join(f"{name}:" for name in sections())
        raise UsageError(f"the site file must be a mapping of executors to their options ({names})\n{error}") from None
    _refuse_unknown(str(path), data, sections())
    part = data.get(section)
    if part is None:
        return {}
    if not isinstance(part, Mapping):
        raise UsageError(
            f"{path}: {section}: must be a mapping of options, such as {{{next(iter(sections()[section].options))}: ...}}"
        )
    return {name: _value(f"{path}: {section}.{name}", section, name, value) for name, value in part.items()}


def _from_items(section: str, items: Iterable[str]) -> Options:
    found: Options = {}
    for item in items:
        key, equals, value = item.partition("=")
        if not equals:
            example = sections()[section].example or f"{next(iter(sections()[section].options))}=..."
            raise UsageError(f"--{section} {item}: must be KEY=VALUE, as in --{section} {example}.")
        name, _, inner = key.partition(".")
        known = _value(f"--{section} {item}", section, name, {inner: value} if inner else value)
        if isinstance(known, dict):
            found.setdefault(name, {}).update(known)
        elif isinstance(known, list):
            found.setdefault(name, []).extend(known)
        else:
            found[name] = known
    return found


def _value(place: str, section: str, name: str, value: object) -> Any:
    options = sections()[section].options
    _refuse_unknown(place, [name], options)
    try:
        return options[name].read(value)
    except ValueError as error:
        raise UsageError(f"{place}: {name} {error}; it is {options[name]}.") from None


def _refuse_unknown(place: str, names: Iterable[Any], allowed: Mapping[str, Any]) -> None:
    for name in names:
        if name not in allowed:
            raise UsageError(
                f"{place}: unknown key {str(name)!r}.{nearest(str(name), allowed)} Allowed: {', '.join(allowed)}."
            )
