"""`resources:` of a study and of its profiles: what one run takes. Not hashed: where a run trains makes no other run of it."""

from __future__ import annotations

from ablate.study.document.keys import RESOURCES
from ablate.study.document.problems import Problems, show
from ablate.study.document.source import Key
from ablate.study.values.resources import Resources, memory_of

MOST = {"gpus": 1024, "cpus": 65536}


def read_resources(problems: Problems, key: Key, value: object) -> Resources:
    """The block at `key`; a problem for each amount that cannot be meant, and for GPUs that our own trainer has no use for."""
    spec = problems.mapping(key, value, "a mapping such as {gpus: 2, cpus: 8, memory: 20G}")
    problems.known_keys(key, spec, RESOURCES)
    gpus, cpus = (_count(problems, (*key, name), spec.get(name), least) for name, least in (("gpus", 0), ("cpus", 1)))
    if gpus is not None and gpus > 1 and not problems.free:
        message = (
            f"{gpus} GPUs for one run, but the built-in trainer uses one. Write `gpus: 1` (each worker takes a GPU of its own), "
            "or name a trainer that uses several under `trainer`."
        )
        problems.add((*key, "gpus"), "unsupported", message)
    return Resources(gpus, cpus, _memory(problems, (*key, "memory"), spec.get("memory")))


def _count(problems: Problems, key: Key, value: object, least: int) -> int | None:
    if value is None:
        return None
    most = MOST[str(key[-1])]
    if isinstance(value, int) and not isinstance(value, bool):
        if least <= value <= most:
            return value
        problems.refuse(key, f"a whole number from {least} to {most:,}", value, code="out-of-range")
    else:
        problems.refuse(key, f"a whole number from {least} to {most:,}", value)
    return None


def _memory(problems: Problems, key: Key, value: object) -> int | None:
    if value is None:
        return None
    try:
        return memory_of(problems.document.scalar_text(key) if problems.document.is_scalar(key) else "")
    except ValueError:
        message = f"must be an amount with its unit M, G or T, such as 20G or 512M, not {show(value)}."
        problems.add(key, "bad-format", message)
        return None
