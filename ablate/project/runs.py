"""Single runs: chosen and sorted, as documents, and where two of them differ."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ablate.errors import UsageError, few, nearest
from ablate.study.values.digits import brief
from ablate.study.values.metrics import METRICS, MetricName

if TYPE_CHECKING:
    from ablate.store.store import Store
    from ablate.store.values import Asker
    from ablate.study.records import RunResult

FAILED = ("failed", "lost")
LOG_LINES = 40
COLUMNS = ("run", "arm", "seed", "state", "tries", "time")
_OF_ONE_ATTEMPT = ("pid", "command", "cwd", "source.folder")
"""What an attempt's environment has of its own: the command holds the seed and the run's folder."""
Names = Mapping[str, tuple[str, ...]]
"""What a study calls each run: its arm, and the arms that are the same run."""


def list_runs(
    store: Store, *, study: str | None, states: Sequence[str] | None, arm: str | None, sort: str | None, limit: int | None
) -> tuple[list[RunResult], Names]:  # fmt: skip
    """Runs with their names, the newest first, or by a column. Raises UsageError for a column that no run has, and for an arm
    that none is called."""
    whole = arm is None and sort is None
    found = store.list_runs(study=study, states=states, limit=limit if whole else None)
    names = names_of(store, found, study)
    if arm is not None:
        known = dict.fromkeys(name for every in names.values() for name in every)
        if found and arm not in known:
            raise UsageError(f"arm {arm!r}: {_allowed(arm, list(known))}", code="unknown-arm")
        found = [result for result in found if arm in names.get(result.run.run_id, ())]
    if sort is not None:
        found = _sorted(found, names, sort)
    return (found if whole else found[:limit]), names


def names_of(store: Store, found: Sequence[RunResult], study: str | None = None) -> Names:
    """The names in `study`, else in the first study that has some: where a run is only a parent, it has none."""
    names: dict[str, tuple[str, ...]] = {}
    for run_id, links in store.links([result.run.run_id for result in found]).items():
        named = [link for link in links if link.arm and not link.is_parent] or [link for link in links if link.arm]
        for link in [*(link for link in named if link.study == study), *named][:1]:
            names[run_id] = (link.arm, *link.aliases)
    return names


def first_name(names: Names, result: RunResult) -> str:
    """The arm that a run is of; empty for one that no study calls anything."""
    return next(iter(names.get(result.run.run_id, ())), "")


def _sorted(found: list[RunResult], names: Names, column: str) -> list[RunResult]:
    """By a column of the list or a metric, the best first; runs without a value come last, in their order."""
    metrics = dict.fromkeys(name for result in found for name in result.metrics)
    if found and column not in (*COLUMNS, *metrics):
        raise UsageError(f"sort {column!r}: {_allowed(column, [*COLUMNS, *metrics])}", code="unknown-column")
    better = METRICS[column].better if column in METRICS else "lower" if column in COLUMNS else "higher"

    def value(result: RunResult) -> Any:
        own = {
            "run": result.run.run_id, "arm": first_name(names, result) or None, "seed": result.run.seed, "state": result.state,
            "tries": len(result.attempts), "time": result.seconds,
        }  # fmt: skip
        return own[column] if column in own else result.metrics.get(column)

    there = [result for result in found if value(result) is not None]
    missing = [result for result in found if value(result) is None]
    return [*sorted(there, key=value, reverse=better == "higher"), *missing]


def _allowed(value: str, known: Sequence[str]) -> str:
    return f"must be one of {few(known)}.{nearest(value, known)}"


def run_document(result: RunResult, names: Names, asked: Mapping[str, Sequence[Asker]]) -> dict[str, Any]:
    """A run as a list of runs gives it. `asked_by` has every study, profile and variant that ever asked for it."""
    askers = dict.fromkeys((one.study, one.profile, one.sets) for one in asked.get(result.run.run_id, ()))
    return {
        "run_id": result.run.run_id,
        "arm_id": result.run.arm_id,
        "arm": first_name(names, result) or None,
        "studies": list(result.studies),
        "asked_by": [{"study": study, "profile": profile, "set": list(sets)} for study, profile, sets in askers],
        "seed": result.run.seed,
        "state": result.state,
        "attempts": len(result.attempts),
        "metrics": finite(dict(result.metrics)),
        "seconds": result.seconds,
        "device": result.device,
    }


def details_document(result: RunResult) -> dict[str, Any]:
    """What the document of a single run has besides."""
    return {
        "recipe": result.run.recipe.json,
        "reported_split": result.reported_split,
        "selected_epoch": result.selected_epoch,
        "epochs": [{"epoch": epoch, **metrics} for epoch, metrics in sorted(result.epochs.items())],
        "confusions": [asdict(confusion) for confusion in result.confusions],
        "artifacts": [{**asdict(artifact), "sha256": artifact.sha256 or None} for artifact in result.artifacts],
        "environment": dict(result.shown.environment) if result.shown else None,
        "tries": [asdict(attempt) for attempt in result.attempts],
        "error": result.error,
        "details": dict(result.details),
    }


def called(result: RunResult) -> tuple[str, str]:
    """(the command of a script's run as it was called, the folder that it was called in); of a run that no attempt noted it of, as
    it will be called, and no folder. Both are empty for other trainers."""
    from ablate.study.assign.command_words import expand  # with pydantic, which `--help` does without

    trainer = result.run.trainer or {}
    if "command" not in trainer:
        return "", ""
    noted = result.environment
    if isinstance(noted.get("command"), str):
        return str(noted["command"]), str(noted.get("cwd") or "")
    return shlex.join(expand(list(map(str, trainer["command"])), result.run.seed, "{run_dir}")), ""


def cause_of(error: str) -> str:
    """A script's failure without the command and the lines that it printed last, which stand before it, each after two blanks."""
    lines = error.splitlines()
    quoted = max((place for place, line in enumerate(lines) if line.startswith("  ")), default=-1)
    return "\n".join(lines[quoted + 1 :]) or error


def differences(one: RunResult, other: RunResult, *, everything: bool = False) -> list[tuple[str, str, str]]:
    """What differs between two runs, with the value of each: seed, recipe, environment, data, metrics; with `everything`, what is
    the same, too. Numbers are rounded, unless that makes them equal. Parts that only one recipe uses follow from the recipe."""
    rows = []
    for what, left, right in (
        ("", {"seed": one.run.seed}, {"seed": other.run.seed}),
        ("recipe ", flat(one.run.recipe.json), flat(other.run.recipe.json)),
        ("environment ", flat(one.environment), flat(other.environment)),
        ("", _of_training(one), _of_training(other)),
        ("metric ", once(one), once(other)),
    ):
        for name in sorted({*left, *right}):
            follows = name in _OF_ONE_ATTEMPT or (name.startswith("parts.") and not (name in left and name in right))
            if everything or (left.get(name) != right.get(name) and not follows):
                shorten = _SHORT.get(what, _short)
                rows.append((what + name, *_pair(name, left.get(name, "—"), right.get(name, "—"), shorten)))
    return rows


def _pair(name: str, left: object, right: object, shorten: Callable[[str, object], str]) -> tuple[str, str]:
    """Two values as texts; of two that differ, texts that do, too."""
    texts = shorten(name, left), shorten(name, right)
    return texts if left == right or texts[0] != texts[1] else (str(left), str(right))


def _setting(path: str, value: object) -> str:
    """As a study file has it: `true` is no text, `"true"` is one."""
    from ablate.study.designs.variants import text_of_value  # with pydantic, as above

    return value if value == "—" and isinstance(value, str) else text_of_value(path, value)


def metric_text(name: str, value: object) -> str:
    """A metric's value, a size in MiB."""
    if name == "peak_memory" and isinstance(value, int | float):
        return f"{value / 2**20:,.0f} MiB"
    return brief(value) if isinstance(value, float) else str(value)


def _short(name: str, value: object) -> str:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return shlex.join(value)  # the words of a command
    text = f"{value:g}" if isinstance(value, float) else "—" if value is None else str(value)
    digest = len(text) == 64 and set(text) <= set("0123456789abcdef")
    return text[:16] if digest else text


_SHORT: Mapping[str, Callable[[str, object], str]] = {"metric ": metric_text, "recipe ": _setting}


def flat(value: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one of dotted paths."""
    found: dict[str, Any] = {}
    for name, item in value.items():
        if isinstance(item, dict) and item:
            found |= flat(item, f"{prefix}{name}.")
        else:
            found[prefix + name] = item
    return found


def once(result: RunResult) -> dict[str, float]:
    """The final metrics, each under one name: that which the trainer declares, else without the reported split's prefix."""
    return as_declared(result, result.metrics, result.reported_split)


def as_declared(result: RunResult, metrics: Mapping[str, float], split: str | None) -> dict[str, float]:
    """Metrics, each under one name: `test_acc` where the trainer declares it so, else `acc` where the test set is reported."""
    names = {MetricName.parse(name).inside(split): name for name in (result.run.trainer or {}).get("metrics") or ()}
    found: dict[str, float] = {}
    for name, value in metrics.items():
        plain = MetricName.parse(name).inside(split)
        if plain == name or metrics.get(plain) != value:
            found[names.get(name, name)] = value
    return found


def _of_training(result: RunResult) -> dict[str, Any]:
    """What a run was trained on and how: the digest and the numbers of its images, its fingerprints."""
    data = result.details.get("data")
    found = {f"data {name}": value for name, value in flat(data if isinstance(data, dict) else {}).items()}
    found.pop("data skipped", None)
    if result.shown is not None and result.shown.fingerprint:
        found["fingerprint"] = result.shown.fingerprint
    if mixed := result.details.get("mixed_fingerprints"):
        found["resumed under other numerics"] = "; ".join(map(str, mixed))
    return found


def finite(value: object) -> Any:
    """The value with null for NaN and infinities, which JSON has not."""
    if isinstance(value, dict):
        return {name: finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if isinstance(value, float) and value - value != 0:
        return None
    return value


def log_of(result: RunResult) -> str | None:
    """The last `LOG_LINES` lines of the newest attempt's log, where it is on this machine."""
    from ablate.dispatch.contract.executor import attempt_log
    from ablate.study.recipes.places import home

    if not result.attempts:
        return None
    path = attempt_log(home(), result.run.run_id, result.attempts[-1].number)
    try:
        text = path.read_text(errors="replace")
    except OSError:
        return None
    return "\n".join(text.splitlines()[-LOG_LINES:]) or None
