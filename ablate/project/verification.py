"""The work of `runs verify`: train some done runs again with the present code, beside what is stored of them.

Nothing of the study is touched: runs train in a scratch folder, no attempt is added and no number replaced. Only rows of `verified`
are written, one as each run ends, so what an interrupted call has found stays.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ablate.dispatch.contract.executor import run_folder
from ablate.dispatch.contract.signals import StopFlag, listening
from ablate.errors import Interrupted, NotFound, RunFailure, UsageError
from ablate.project.advice import command
from ablate.project.calls import trainer_options
from ablate.project.database import safe_url
from ablate.project.planning import Plan
from ablate.project.telling import tell
from ablate.project.text import duration, plural
from ablate.store.store import Store
from ablate.study.code.provenance import Code, codes_of
from ablate.study.code.verified import Evidence, Step, Verified, between, compare, numbers_of, steps, told
from ablate.study.records import Context, EpochRecord, Outcome, RunResult
from ablate.study.values.metrics import MetricName
from ablate.study.values.run import Run
from ablate.study.values.study import Study

NUMERICS = ("channels_last", "compile", "deterministic", "packing")
"""Options of an attempt that its fingerprint names; what they were is what they are again."""


@dataclass(frozen=True)
class Old:
    """A done run that other code trained: its numbers, and how that code differs from the current one.

    `here` is the fingerprint that it has when it trains here.
    """

    run: Run
    result: RunResult
    code_x: str
    now: Code
    parts: Mapping[str, tuple[str, str]]
    here: str

    @property
    def fingerprint(self) -> str:
        shown = self.result.shown
        return (shown.fingerprint if shown else None) or "unknown arithmetic"

    @property
    def steps(self) -> frozenset[Step]:
        return steps(self.parts)

    @property
    def repeats(self) -> bool:
        """Whether it would come out the same here if the code were the same: not where it was resumed under other arithmetic."""
        return self.fingerprint == self.here and "mixed_fingerprints" not in self.result.details


@dataclass(frozen=True)
class Checked:
    """What a call has found: the rows that it wrote, the runs that cannot be compared on this machine, those (by id, with why) for
    which data or weights are not here, and how many the other database lacks."""

    rows: tuple[Verified, ...]
    elsewhere: tuple[Old, ...]
    lacking: Mapping[str, str]
    absent: int = 0

    @property
    def whole(self) -> bool:
        """Whether nothing came out otherwise, and nothing had to be left out."""
        return all(row.equal for row in self.rows) and not (self.elsewhere or self.lacking)


class Verifier:
    """Verifies one study. `source` is where the numbers of the old code come from; `store` takes the rows."""

    def __init__(self, study: Study, store: Store, source: Store, scratch: Path, stop: StopFlag) -> None:
        self._study, self._store, self._scratch, self._stop = study, store, scratch, stop
        self._evidence = Evidence(store.verified())
        self._rows: list[Verified] = []
        self._trained: set[str] = set()
        self._lacking: dict[str, str] = {}
        self._asked = ""
        codes = codes_of(study)
        self._runs = {run.run_id: run for run in (*study.parents, *study.runs)}
        self._names = {arm.arm_id: arm.name for arm in reversed(study.arms)}
        known = _done(store, codes)
        if source is not store:  # runs that it alone has say as much of the two codes
            known = {**_done(source, codes), **known}
        other = {run_id: code for run_id, (_, code) in known.items() if code != codes[run_id].digest}
        there = source.results(other, code={run_id: Code(code) for run_id, code in other.items()})
        found = {run_id: result for run_id, (result, _) in known.items() if run_id not in other}
        for run_id, result in there.items():  # of which some are merely the newest that there are
            if result.state == "done" and result.environment.get("code") == other[run_id]:
                found[run_id] = result
        self._done = {run_id: self._old(result, known[run_id][1], codes[run_id]) for run_id, result in found.items()}
        self.old = {run_id: old for run_id, old in self._done.items() if run_id in other}
        self.absent = sorted(other.keys() - self.old.keys())
        self.codes = frozenset(other.values())

    def _old(self, result: RunResult, code: str, now: Code) -> Old:
        from ablate.training.trainer import describe

        run = self._runs[result.run.run_id]
        parts = between(code, result.environment.get("parts"), now)
        return Old(run, result, code, now, parts, describe(run, self._context(run, result, lambda records: None))[1])

    def check(self, sample: int) -> Checked:
        """Train until every part of the study's old runs was in a run that came out equal, cheapest first, and at least
        `sample` runs of it are checked, as far as this machine can."""
        own = {run.run_id for run in self._study.runs}
        able = sorted((old for old in self.old.values() if self._can(old) and old.run.run_id in own), key=self._cost)
        for old in able:
            if not self._settled(old) and self._tells_more(old):
                self._verify(old)
        for old in able:
            if sum(map(self._settled, able)) >= sample:
                break
            if not self._settled(old):
                self._verify(old)
        elsewhere = tuple(old for old in self.old.values() if not self._can(old) and not self._settled(old))
        absent = sum(run_id in own for run_id in self.absent)
        return Checked(tuple(self._rows), elsewhere, dict(self._lacking), absent)

    def check_one(self, run_id: str) -> Checked:
        """Train one done run again, whatever code and arithmetic it had. Raises NotFound where the study has no such run."""
        found = [old for known, old in self._done.items() if known.startswith(run_id)]
        if len(found) != 1:
            what = f"{len(found)} done runs whose ids begin" if found else "no done run whose id begins"
            raise NotFound(f"{self._study.full_name} has {what} with {run_id}.", code="unknown-run")
        self._asked = found[0].run.run_id
        if found[0].fingerprint != found[0].here:
            tell(
                f"it was trained under {found[0].fingerprint}; here it is {found[0].here}, so numbers may differ a little"
            )
        self._verify(found[0])
        return Checked(tuple(self._rows), (), dict(self._lacking))

    def _tells_more(self, old: Old) -> bool:
        """Whether it has a part that no equal run had, and is not known to come out otherwise for parts that it has."""
        return bool(self._evidence.missing(old.steps)) and not self._evidence.doubts(old.steps)

    def _settled(self, old: Old) -> bool:
        return bool(self._evidence.of(old.run.run_id, old.code_x, old.now.digest))

    def _can(self, old: Old) -> bool:
        """Whether it and all that it starts from can be trained here under their own arithmetic."""
        parent = self._done.get(old.run.parent) if old.run.parent else None
        return old.repeats and (old.run.parent is None or (parent is not None and self._can(parent)))

    def _cost(self, old: Old) -> tuple[float, str]:
        parent = self._done.get(old.run.parent) if old.run.parent else None
        above = self._cost(parent)[0] if parent is not None else 0.0
        return above + (old.result.seconds or 0.0), old.run.run_id

    def _verify(self, old: Old) -> None:
        """Train what it starts from, then it, and write down what came of each."""
        if old.run.run_id in self._trained:
            return
        if old.run.parent is not None:
            self._verify(self._done[old.run.parent])
        self._trained.add(old.run.run_id)
        if why := self._lacking.get(str(old.run.parent)):
            self._lacking[old.run.run_id] = why
            return
        try:
            difference, what = self._again(old)
        except NotFound as error:
            self._lacking[old.run.run_id] = str(error)
            return
        if old.run.run_id not in (*self.old, self._asked):  # of the present code: trained for its weights alone
            return
        self._tell(old, difference, what)
        if old.run.run_id in self.old and self._can(old):
            self._store.add_verified(self._rows[-1])
            self._evidence = Evidence(self._store.verified())

    def _tell(self, old: Old, difference: float | None, what: str) -> None:
        row = Verified(
            old.run.run_id, old.code_x, old.now.digest, old.here, what == "", old.parts, difference, what,
        )  # fmt: skip
        self._rows.append(row)
        took = f", {duration(old.result.seconds)} then" if old.result.seconds else ""
        name = self._names.get(old.run.arm_id, "parent")
        tell(f"{'bit-equal' if row.equal else told(row)}: {name} seed {old.run.seed} ({old.run.run_id[:12]}{took})")

    def _again(self, old: Old) -> tuple[float | None, str]:
        """The largest difference of a number, and which one that is."""
        from ablate.training.trainer import fit

        epochs: dict[int, dict[str, float]] = {}

        def on_epoch(records: Sequence[EpochRecord]) -> None:
            for record in records:
                named = {str(MetricName(record.split, name)): value for name, value in record.metrics.items()}
                epochs.setdefault(record.epoch, {}).update(named)

        try:
            outcome: Outcome = fit(old.run, self._context(old.run, old.result, on_epoch))
        except RunFailure as error:
            return None, f"it fails: {str(error).splitlines()[0]}"
        prefixed = {
            epoch: {name: value for name, value in found.items() if MetricName.parse(name).split}
            for epoch, found in old.result.epochs.items()
        }
        return compare(numbers_of(old.result.metrics, prefixed), numbers_of(outcome.metrics, epochs))

    def _context(self, run: Run, result: RunResult, on_epoch: Callable[[Sequence[EpochRecord]], None]) -> Context:
        """As the attempt had it, in the scratch folder."""
        shown = result.shown
        options = {name: value for name, value in result.environment.get("options", {}).items() if name in NUMERICS}
        threads = result.environment.get("threads")
        child = any(other.parent == run.run_id for other in self._runs.values())
        folder = run_folder(self._scratch, run.run_id)
        folder.mkdir(parents=True, exist_ok=True)
        return Context(
            run_dir=folder,
            device=_device(shown.fingerprint if shown else None),
            threads=threads if isinstance(threads, int) else 1,
            on_epoch=on_epoch,
            should_stop=lambda: self._stop.signal,
            options={**trainer_options(self._study), "keep": None, **options, "needed_by_child": child},
            parent_dir=run_folder(self._scratch, run.parent) if run.parent else None,
        )


def verify(study: Study, store: Store, source: Store, sample: int, run_id: str | None = None) -> Checked:
    """Verify a study, or one run of it, in a scratch folder that is gone afterwards. Raises UsageError, NotFound, and Interrupted once the run that
    trained has left."""
    if study.trainer is not None:
        raise UsageError(
            f"{study.name} has its own trainer, and only runs of ablate's trainer can be verified: a script may write anywhere, "
            "so running it again could overwrite its results.",
            code="own-trainer",
        )
    stop = StopFlag()
    with tempfile.TemporaryDirectory(prefix="ablate-verify-") as scratch, listening(stop):
        verifier = Verifier(study, store, source, Path(scratch), stop)
        if run_id is not None:
            return verifier.check_one(run_id)
        if verifier.absent and not verifier.old:
            raise NotFound(_no_numbers(verifier, store, source))
        tell(
            f"{study.full_name}: {plural(len(verifier.old), 'done run')} trained with different code"
            + ("; some train again now, and stored results do not change" if verifier.old else ": nothing to verify")
        )
        try:
            return verifier.check(sample)
        except Interrupted:
            tell("stopped; the results above are kept")
            raise


def say_left(found: Checked, study: Study, db: str | None) -> None:
    """Which runs cannot be verified here, why, and what can be done instead."""
    by_pair: dict[tuple[str, str], list[Old]] = {}
    for old in found.elsewhere:
        by_pair.setdefault((old.fingerprint, old.here), []).append(old)
    for (theirs, here), group in by_pair.items():
        resumed = " (resumed, or started from runs, under other arithmetic)" if theirs == here else ""
        tell(
            f"{plural(len(group), 'run')} cannot be verified here: trained under {theirs}{resumed}; here it is {here}."
        )
    if by_pair:
        again = command(
            "runs", "verify", study.file, "--from", "OTHER.db", profile=study.profile, sets=study.sets, db=db
        )
        tell(
            "  To compare the two codes under this machine's arithmetic, train these runs here with the old code into "
            f"another database, then: {again}"
        )
    for why, count in Counter(found.lacking.values()).items():
        tell(f"{plural(count, 'run')} cannot train here: {why}")
    if found.absent:
        tell(f"{plural(found.absent, 'run')} more are not in the other database, or not with the same code")


def document(planned: Plan, found: Checked) -> dict[str, Any]:
    """The JSON document of `runs verify`."""
    return {
        "schema": 1,
        "study": planned.study.name,
        "profile": planned.study.profile,
        "set": list(planned.study.sets),
        "counts": {name: planned.counts[name] for name in ("total", "done", "stale", "verified")},
        "checked": [
            {
                "run_id": row.run_id,
                "equal": row.equal,
                "difference": row.difference,
                "what": row.what,
                "fingerprint": row.fingerprint,
                "code_then": row.code_x,
                "code_now": row.code_y,
            }
            for row in found.rows
        ],
        "elsewhere": [
            {"run_id": old.run.run_id, "fingerprint": old.fingerprint, "here": old.here} for old in found.elsewhere
        ],
        "lacking": [{"run_id": run_id, "why": why} for run_id, why in found.lacking.items()],
    }


def _no_numbers(verifier: Verifier, store: Store, source: Store) -> str:
    codes = sorted({code[:12] for code in verifier.codes})
    return (
        f"{safe_url(source.url)} has none of the {plural(len(verifier.absent), 'run')} trained with the same code as in "
        f"{safe_url(store.url)} ({', '.join(codes)}). Check out that code and train the study into it first."
    )


def _done(store: Store, codes: Mapping[str, Code]) -> dict[str, tuple[RunResult, str]]:
    """The done runs whose attempt told its code, each with that."""
    found: dict[str, tuple[RunResult, str]] = {}
    for run_id, result in store.results(codes, epochs=False, code=codes).items():
        code = result.environment.get("code")
        if result.state == "done" and isinstance(code, str):
            found[run_id] = result, code
    return found


def _device(fingerprint: str | None) -> str:
    """The device that an attempt's fingerprint names, where it is here."""
    import torch

    return "cuda" if (fingerprint or "").startswith("cuda") and torch.cuda.is_available() else "cpu"
