"""Which results the present code is known to give again, because it trained some of them again with bit-equal results.

What is compared is a *step*: from the code that a run was trained by to the code here, of the trainer's core and of one part. A run
is verified where it came out equal itself, or where every step of its own was in a run that did; and where no run came out
otherwise whose steps are all its own. So a part that changes later takes back what was said of its runs alone.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ablate.study.code.provenance import CORE, Code, Freshness
from ablate.study.values.metrics import is_cost

ITSELF = "itself"
PARTS = "by its parts"
ELSEWHERE = ", under other arithmetic"
HOW = (ITSELF, PARTS, ITSELF + ELSEWHERE, PARTS + ELSEWHERE)
"""How a run is verified: trained again, or all of its parts in runs that were; and whether under another fingerprint than its own."""

Step = tuple[str, str, str, str, str]
"""The core then and now, a part's name, and its digest then and now."""


@dataclass(frozen=True)
class Verified:
    """One run that `code_y` trained again, beside what `code_x` had come to, both under `fingerprint`.

    parts        `trainer core` and each part: its digest then (`code_x`, where one digest was recorded for all) and now
    difference   the largest absolute difference of a metric, None where one of the two has no number there
    what         the metric that it is of, and its epoch; empty where `equal`
    at           POSIX seconds by the database's clock
    """

    run_id: str
    code_x: str
    code_y: str
    fingerprint: str
    equal: bool
    parts: Mapping[str, tuple[str, str]]
    difference: float | None = 0.0
    what: str = ""
    at: float = 0.0


def between(code_x: str, noted: object, now: Code) -> dict[str, tuple[str, str]]:
    """`Verified.parts` of a run; `noted` is what its attempt's environment has under `parts`, if anything."""
    then = noted if isinstance(noted, Mapping) else dict.fromkeys(now.parts, code_x)
    return {name: (str(then.get(name, "")), digest) for name, digest in now.parts.items()}


def steps(parts: Mapping[str, tuple[str, str]]) -> frozenset[Step]:
    """The steps between two codes of a run."""
    core = parts.get(CORE, ("", ""))
    return frozenset((*core, name, *pair) for name, pair in parts.items())


class Evidence:
    """All that was ever trained again, as known to one database."""

    def __init__(self, rows: Iterable[Verified]) -> None:
        self._rows: dict[tuple[str, str, str], list[Verified]] = defaultdict(list)
        self._equal: dict[Step, set[str]] = defaultdict(set)
        self._unequal: set[frozenset[Step]] = set()
        for row in rows:
            self._rows[row.run_id, row.code_x, row.code_y].append(row)
            if row.equal:
                for step in steps(row.parts):
                    self._equal[step].add(row.fingerprint)
            else:
                self._unequal.add(steps(row.parts))

    def of(self, run_id: str, code_x: str, code_y: str) -> tuple[Verified, ...]:
        """What was found of one run between two codes, under each fingerprint."""
        return tuple(self._rows.get((run_id, code_x, code_y), ()))

    def missing(self, own: frozenset[Step]) -> frozenset[Step]:
        """The steps that no equal run has made."""
        return frozenset(step for step in own if step not in self._equal)

    def doubts(self, own: frozenset[Step]) -> bool:
        """Whether a run came out otherwise whose steps are all among these."""
        return any(others <= own for others in self._unequal)

    def judge(self, run_id: str, code_x: str, noted: object, now: Code, fingerprint: str | None, why: str) -> Freshness:
        """How a result of other code stands: `fingerprint` is its attempt's, `why` what differs between the codes."""
        found = self.of(run_id, code_x, now.digest)
        unequal = next((row for row in found if not row.equal), None)
        if unequal is not None:
            return Freshness(True, why="; ".join(filter(None, [why, told(unequal)])))
        if found:
            at_home = fingerprint in {row.fingerprint for row in found}
            return Freshness(verified=ITSELF if at_home else ITSELF + ELSEWHERE)
        own = steps(between(code_x, noted, now))
        if not own or self.missing(own) or self.doubts(own):
            return Freshness(True, why=why)
        under = set.intersection(*(self._equal[step] for step in own))
        return Freshness(verified=PARTS if fingerprint in under else PARTS + ELSEWHERE)


def told(row: Verified) -> str:
    """What an unequal run is told as."""
    much = "" if row.difference is None else f" differs by {row.difference:.3g}"
    return f"trained again with the present code, {row.what}{much}"


def said(how: Iterable[str], total: int) -> str:
    """What to say of `total` done runs of which some are verified, each in one of the ways of `HOW`; empty where none is."""
    ways = [way for way in how if way]
    if not ways:
        return ""
    trained = sum(way.startswith(ITSELF) for way in ways)
    elsewhere = sum(way.endswith(ELSEWHERE) for way in ways)
    arithmetic = f"; {elsewhere:,} of them under other arithmetic than their own" if elsewhere else ""
    if not trained:
        return (
            f"{len(ways):,} of {total:,} runs verified with the present code by their parts: other runs with the same parts, "
            f"trained again, came out bit-equal{arithmetic}"
        )
    whom = "the others use" if len(ways) == total else f"{len(ways) - trained:,} others use"
    rest = f"; {whom} no other parts than runs that did so" if len(ways) > trained else ""
    return f"{trained:,} of {total:,} runs verified with the present code: trained again, bit-equal{rest}{arithmetic}"


Numbers = Mapping[int, Mapping[str, float]]
"""Metrics by epoch; those of the run's end are under `FINAL`."""
FINAL = 0


def numbers_of(metrics: Mapping[str, float], epochs: Mapping[int, Mapping[str, float]]) -> Numbers:
    """All that a run measured, costs aside."""
    every = {**epochs, FINAL: metrics}
    return {
        epoch: {name: value for name, value in found.items() if not is_cost(name)} for epoch, found in every.items()
    }


def compare(then: Numbers, now: Numbers) -> tuple[float | None, str]:
    """The largest difference of a number that was there then, and of which one it is; (0.0, "") where all are bit-equal.

    A metric that is new is no difference. None where a number is not there now, or another number of epochs.
    """
    largest, what = 0.0, ""
    if len(then) > 1 and then.keys() != now.keys():
        return None, f"{len(now) - 1} epochs instead of {len(then) - 1}"
    for epoch, found in then.items():
        for name, value in found.items():
            again = now.get(epoch, {}).get(name, math.nan)
            place = f"{name} of epoch {epoch}" if epoch != FINAL else f"the final {name}"
            if math.isnan(again):
                return None, f"{place} is not a number"
            if again != value and abs(again - value) > largest:
                largest, what = abs(again - value), place
    return largest, what
