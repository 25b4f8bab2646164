"""Which code a result came from: recorded with each attempt, never part of a run's identity.

For the built-in trainer it is what its core and the parts that the run's recipe uses mean (`reached`); of another, the bytes of its
files (`scripts`) and our reader.
"""

from __future__ import annotations

import hashlib
import posixpath
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from ablate.parts import found
from ablate.parts.declare import KINDS, Part
from ablate.parts.packages import packages_used
from ablate.study.code.called import files_of_call, key_of
from ablate.study.code.reached import PACKAGE, Reach
from ablate.study.code.scripts import Files, Scripts, globs_of
from ablate.study.recipes.digest import canonical_json
from ablate.study.recipes.uses import parts_used
from ablate.study.values.metrics import READER
from ablate.study.values.run import Run
from ablate.study.values.study import Study

TRAINER = "ablate.training.trainer"
"""Where the trainer's core begins."""
CORE = "trainer core"
"""What it is called beside the parts."""
FIRST_READER = 1
"""The reader of attempts that name none."""
MOST_NAMED = 4
"""So many files that differ are named one by one; more are counted."""
_DECLARED = "trainer:"
"""How the code of a script was recorded once: by the version that its study declares."""


@dataclass(frozen=True)
class Code:
    """The code that would train a run here. `digest` has 64 hex digits.

    For the built-in trainer, `parts` maps `trainer core` and each part that the run uses, as in `optimizer.name sgd`, to a digest.
    Of a script, `files` maps names (relative to the study's folder) to SHA-256s, `absent` is its program as the command names it,
    where that is not here, and `reader` the version of our reader of its output, None where it reports by itself.
    """

    digest: str
    files: Mapping[str, str] = field(default_factory=dict)
    absent: str = ""
    reader: int | None = None
    script: bool = False
    parts: Mapping[str, str] = field(default_factory=dict)

    def recorded(self) -> dict[str, Any]:
        """What an attempt's environment keeps of it."""
        if not self.script:
            return {"code": self.digest, "parts": dict(self.parts)}
        reader = {} if self.reader is None else {"reader": self.reader}
        return {"code": self.digest, "commit": None, "dirty": None, "files": dict(self.files), **reader}


@dataclass(frozen=True)
class Freshness:
    """How the code of a result stands to the code here. `why` names what differs; not `known`: it cannot be told here.

    `verified` is how other code is known to give the same numbers, one of `verified.HOW`, or empty: then it is not stale.
    """

    stale: bool = False
    known: bool = True
    why: str = ""
    verified: str = ""


def code_of(run: Run, folder: Path = Path(), watch: Sequence[str] = ()) -> Code:
    """The code of one run: our own trainer's, or, of another (`Run.trainer`), its files as they lie in the study's folder."""
    return _Codes(folder, watch).of(run)


@cache
def checkout() -> dict[str, Any]:
    """`commit` and `dirty` of our own checkout; None each where ablate is not run from one."""
    package = Path(__file__).resolve().parents[2]
    # a package installed into a folder below someone else's repository is not part of it
    ours = _git(package, "ls-files", "--error-unmatch", "__init__.py") is not None
    commit = _git(package, "rev-parse", "HEAD") if ours else None
    status = _git(package, "status", "--porcelain", "--", ".") if commit else None
    return {"commit": commit, "dirty": bool(status) if status is not None else None}


def codes_of(study: Study, folder: Path | None = None) -> dict[str, Code]:
    """The code of each run of a study and of each parent, by run id, as it is now. `folder`: where not the study file's own."""
    return codes_in(folder or Path(study.file).parent, (*study.parents, *study.runs), globs_of(study.trainer))


def codes_in(folder: Path, runs: Iterable[Run], watch: Sequence[str]) -> dict[str, Code]:
    """The code of each run, by run id, as it is in a folder."""
    codes = _Codes(folder, watch)
    return {run.run_id: codes.of(run) for run in runs}


def digest_of(codes: Mapping[str, Code]) -> str | None:
    """One digest for all of a study's runs; None where a program is not here."""
    digests = sorted({code.digest for code in codes.values()})
    if not digests or any(code.absent for code in codes.values()):
        return None
    return digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()


class _Codes:
    """The codes of many runs, each set of files being looked at once."""

    def __init__(self, folder: Path, watch: Sequence[str]) -> None:
        self._scripts = Scripts(folder, watch)
        self._known: dict[Any, Code] = {}

    def of(self, run: Run) -> Code:
        if run.trainer is None:
            key: Any = ("ours", run.arm_id or canonical_json(run.recipe.json))
            if key not in self._known:
                self._known[key] = our_code(run.recipe.json)
            return self._known[key]
        key = str(run.trainer["python"]) if "python" in run.trainer else key_of(run.trainer, run.seed)
        if key not in self._known:
            self._known[key] = self._look(run.trainer, run.seed)
        return self._known[key]

    def _look(self, trainer: Mapping[str, Any], seed: int) -> Code:
        if "python" in trainer:
            return _code(self._scripts.of_module(str(trainer["python"]).partition(":")[0]), None)
        return _code(files_of_call(self._scripts, trainer, seed), READER)


def _code(files: Files, reader: int | None) -> Code:
    digest = hashlib.sha256(canonical_json({"files": files.digests, "reader": reader}).encode()).hexdigest()
    return Code(digest, files.digests, files.absent, reader, script=True)


def our_code(recipe: Mapping[str, Any]) -> Code:
    """The code of the built-in trainer for a recipe: its core, the parts that the recipe uses, and the version of the package that its
    network comes from."""
    used = {f"{part.kind} {part.name}": _digest(part) for part in parts_used(recipe)}
    parts = {CORE: _core()[1], **used, **_package(str(recipe.get("model", {}).get("arch", "")))}
    return Code(hashlib.sha256(canonical_json(parts).encode()).hexdigest(), parts=parts)


@cache
def _reach() -> Reach:
    return Reach()


@cache
def _core() -> tuple[frozenset[str], str]:
    """The modules of the trainer's core, and their digest. A part's file is never among them."""
    own = {found.module_of(part): part for kind in KINDS for part in found.parts(kind).values()}
    files = [module for module, part in own.items() if module.startswith(f"{PACKAGE}.parts.{part.folder}.")]
    modules = _reach().modules(TRAINER, leave_out=files)
    return frozenset(modules), _reach().digest(modules)


@cache
def _digest_of_module(module: str) -> str:
    return _reach().digest(set(_reach().modules(module)) - _core()[0])


@cache
def _package(arch: str) -> dict[str, str]:
    """{`package timm`: its version} of a network that needs a package; empty for others, and where it is not here."""
    return {f"package {package}": found for package, found in packages_used(arch).items()}


def _digest(part: Part) -> str:
    """What a part's file means, and what that imports beside the core."""
    return _digest_of_module(found.module_of(part))


def forget() -> None:
    """Parts have come or gone: look at the files again."""
    for cached in (_reach, _core, _digest_of_module, _package):
        cached.cache_clear()


found.on_change(forget)


def compare(code: Code, recorded: str | None, environment: Mapping[str, Any]) -> Freshness:
    """How a result stands to the code here: `recorded` and `environment` are its attempt's.

    Attempts of before scripts had a digest (`trainer:VERSION`) are compared by those files that are known of both, and their
    numbers were read by the first reader. Those of the built-in trainer had one digest for all of its code once: other code.
    """
    if recorded is None or recorded == code.digest:
        return Freshness()
    if not code.script:
        noted = environment.get("parts")
        if not isinstance(noted, Mapping) or not code.parts:
            return Freshness(stale=True)
        return Freshness(True, why=", ".join(_differences(noted, code.parts, sorted({*noted, *code.parts}))))
    old = recorded.startswith(_DECLARED)
    theirs = _normal(environment.get("files"), str(environment.get("folder") or ""))
    read_by = environment.get(
        "reader", FIRST_READER if old and _has_pattern(environment.get("trainer")) else code.reader
    )
    reread = ["its numbers were read by an older ablate"] if read_by != code.reader else []
    if code.absent or (theirs and not code.files):
        return Freshness(bool(reread), bool(reread), ", ".join(reread))
    both = set(theirs) & set(code.files)
    names = both if old else set(theirs) | set(code.files)
    why = [*reread, *_differences(theirs, code.files, sorted(names))]
    if old and not why:
        return Freshness(known=bool(both))
    return Freshness(stale=True, why=", ".join(why))


def _differences(theirs: Mapping[str, str], ours: Mapping[str, str], names: Sequence[str]) -> list[str]:
    """`train.py changed`, `model.py is new`, `old.py is gone`: the first few, and how many more."""
    found = []
    for name in names:
        if name not in theirs:
            found.append(f"{name} is new")
        elif name not in ours:
            found.append(f"{name} is gone")
        elif theirs[name] != ours[name]:
            found.append(f"{name} changed")
    more = [f"and {len(found) - MOST_NAMED} files more"] if len(found) > MOST_NAMED + 1 else []
    return [*found[:MOST_NAMED], *more] if more else found


def _normal(files: object, folder: str) -> dict[str, str]:
    """Recorded files under the names that they have here: older attempts kept a command's words as they stood."""
    if not isinstance(files, Mapping):
        return {}
    inside = posixpath.join(folder, "")
    names = {name: posixpath.normpath(str(name)) for name in files}
    return {normal.removeprefix(inside) if folder else normal: str(files[name]) for name, normal in names.items()}


def _has_pattern(trainer: object) -> bool:
    """Whether numbers were read by a pattern, as an attempt's environment tells of its trainer."""
    metrics = trainer.get("metrics") if isinstance(trainer, Mapping) else None
    return any(pattern is not None for pattern in metrics.values()) if isinstance(metrics, Mapping) else False


def _git(folder: Path, *arguments: str) -> str | None:
    """The output of a git command, or None where git, the repository or the file is not there."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
