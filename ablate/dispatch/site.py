"""A cluster's own settings: what `--slurm` and `--ray` say, and before them the site file.

A study file says what is trained and is the same everywhere; partitions, accounts and modules belong to a place. So
they stand in `$ABLATE_HOME/site.yaml` (or the file that ABLATE_SITE names), and the command line overrides them:

    slurm: {partition: gpu, account: vision, time: "4:00:00", gres: "gpu:1", setup: [module load cuda/12]}
    ray: {address: "head:6379", num_gpus: 0.5}
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ablate.errors import NotFound, StudyError, UsageError, nearest
from ablate.study import places, source

Settings = dict[str, Any]

_CLOCK = re.compile(r"(?:(?P<days>\d+)-)?(?P<parts>\d+(?::\d+){0,2})")


def _text(value: Any) -> str:
    if isinstance(value, bool | Mapping | list) or value is None or not str(value).strip():
        raise ValueError("must be a text")
    if any(ord(character) < 32 for character in str(value)):
        raise ValueError("must be one line")
    return str(value)


def _count(value: Any) -> int:
    if not re.fullmatch(r"\d+", str(value)):
        raise ValueError("must be a whole number, 0 or more")
    return int(value)


def _positive(value: Any) -> int:
    if not re.fullmatch(r"0*[1-9]\d*", str(value)):
        raise ValueError("must be a whole number, 1 or more")
    return int(value)


def _number(value: Any) -> float:
    if not re.fullmatch(r"\d+(\.\d+)?", str(value)):
        raise ValueError("must be a number, 0 or more, such as 1 or 0.5")
    return float(value)


def _minutes(value: Any) -> int:
    """Slurm's own forms: minutes, MM:SS, HH:MM:SS, D-HH, D-HH:MM, D-HH:MM:SS; whole minutes, rounded up."""
    found = _CLOCK.fullmatch(str(value))
    if found is None:
        raise ValueError("must be minutes, HH:MM:SS or D-HH:MM")
    parts = [int(part) for part in found["parts"].split(":")]
    if found["days"] is not None:
        hours, minutes, seconds = (*parts, 0, 0)[:3]
    elif len(parts) == 3:
        hours, minutes, seconds = parts
    else:
        hours, minutes, seconds = (0, *parts, 0)[:3]
    total = int(found["days"] or 0) * 1440 + hours * 60 + minutes + (seconds > 0)
    if total < 1:
        raise ValueError("must be a minute at least")
    return total


def _lines(value: Any) -> list[str]:
    return [_text(line) for line in value] if isinstance(value, list) else [_text(value)]


def _flags(value: Any) -> dict[str, Any]:
    return _named(value, lambda item: item if isinstance(item, bool) else _text(item))


def _amounts(value: Any) -> dict[str, Any]:
    return _named(value, _number)


def _named(value: Any, read: Callable[[Any], Any]) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError("must name each option, as in NAME=VALUE below it")
    for name in value:
        if not re.fullmatch(r"[\w-]+", str(name)):
            raise ValueError(f"{name!r} is not an option's name")
    return {str(name): read(item) for name, item in value.items()}


@dataclass(frozen=True)
class Option:
    read: Callable[[Any], Any]
    about: str


SLURM = {
    "partition": Option(_text, "where jobs run"),
    "account": Option(_text, "who pays"),
    "qos": Option(_text, "quality of service"),
    "time": Option(_minutes, "time limit of a job; at its end the job checkpoints and is requeued (4:00:00)"),
    "gres": Option(_text, "generic resources of a job, such as gpu:1"),
    "gpus_per_node": Option(_positive, "GPUs of a job, where the cluster prefers that to gres"),
    "cpus_per_task": Option(_positive, "cores of a job (1)"),
    "mem": Option(_text, "memory of a job, such as 16G"),
    "constraint": Option(_text, "features that a node must have"),
    "nodelist": Option(_text, "nodes to use"),
    "exclude": Option(_text, "nodes to avoid"),
    "signal_delay": Option(_positive, "seconds before the time limit at which a job is told to checkpoint (90)"),
    "max_requeues": Option(_count, "times that one job goes on after its time limit (100)"),
    "setup": Option(_lines, "shell lines before the worker, such as module load; may be repeated"),
    "extra": Option(_flags, "any other option of sbatch, as extra.NAME=VALUE"),
}
RAY = {
    "address": Option(_text, "a running cluster, as HOST:PORT or auto; none: one is started on this host"),
    "num_cpus": Option(_number, "cores of a worker (1)"),
    "num_gpus": Option(_number, "GPUs of a worker; 0.5 lets two share one (0)"),
    "resources": Option(_amounts, "custom resources of a worker, as resources.NAME=AMOUNT"),
    "max_replaced": Option(_count, "workers replaced after they died, all together (3 for each worker)"),
}
SECTIONS: Mapping[str, Mapping[str, Option]] = {"slurm": SLURM, "ray": RAY}


def site_file(home: Path) -> Path | None:
    """The site file: ABLATE_SITE, else `site.yaml` in ABLATE_HOME where there is one. Raises NotFound."""
    named = places.variable(places.SITE)
    if named:
        path = places.expand(named, places.SITE)
        if not path.is_file():
            raise NotFound(f"ABLATE_SITE names {path}, which is not there.")
        return path
    path = home / "site.yaml"
    return path if path.is_file() else None


def settings(section: str, items: Iterable[str], home: Path) -> Settings:
    """The settings of `slurm` or `ray`: the site file's, then `KEY=VALUE` items of the command line over them.

    Raises UsageError for what is unknown or cannot be meant, with what is allowed.
    """
    path = site_file(home)
    merged = _read_file(path, section) if path is not None else {}
    for name, value in _from_items(section, items).items():
        both = isinstance(value, dict) and isinstance(merged.get(name), dict)
        merged[name] = {**merged[name], **value} if both else value
    return merged


def _read_file(path: Path, section: str) -> Settings:
    try:
        data = source.read(path).data
    except StudyError as error:
        raise UsageError(f"the site file is a mapping with slurm: and ray:\n{error}") from None
    _refuse_unknown(str(path), data, SECTIONS)
    part = data.get(section)
    if part is None:
        return {}
    if not isinstance(part, Mapping):
        raise UsageError(
            f"{path}: {section}: must be a mapping of settings, such as {{{next(iter(SECTIONS[section]))}: ...}}"
        )
    return {name: _value(f"{path}: {section}.{name}", section, name, value) for name, value in part.items()}


def _from_items(section: str, items: Iterable[str]) -> Settings:
    found: Settings = {}
    for item in items:
        key, equals, value = item.partition("=")
        if not equals:
            raise UsageError(f"--{section} {item}: must be KEY=VALUE, as in --{section} {_EXAMPLES[section]}.")
        name, _, inner = key.partition(".")
        known = _value(f"--{section} {item}", section, name, {inner: value} if inner else value)
        if isinstance(known, dict):
            found.setdefault(name, {}).update(known)
        elif isinstance(known, list):
            found.setdefault(name, []).extend(known)
        else:
            found[name] = known
    return found


_EXAMPLES = {"slurm": "partition=gpu", "ray": "num_gpus=0.5"}


def _value(place: str, section: str, name: str, value: Any) -> Any:
    _refuse_unknown(place, [name], SECTIONS[section])
    try:
        return SECTIONS[section][name].read(value)
    except ValueError as error:
        raise UsageError(f"{place}: {name} {error}; it is {SECTIONS[section][name].about}.") from None


def _refuse_unknown(place: str, names: Iterable[Any], allowed: Mapping[str, Any]) -> None:
    for name in names:
        if name not in allowed:
            raise UsageError(
                f"{place}: unknown key {str(name)!r}.{nearest(str(name), allowed)} Allowed: {', '.join(allowed)}."
            )
