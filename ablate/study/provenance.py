"""Which code a result came from: recorded with each attempt, never part of a run's identity.

Of our own trainer it is the syntax tree of what it imports; of another, the bytes of its files (`scripts`) and our reader.
"""

from __future__ import annotations

import ast
import hashlib
import posixpath
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from ablate.study.digest import canonical_json
from ablate.study.metrics import READER
from ablate.study.run import Run
from ablate.study.scripts import RUN_DIR, Files, Scripts, globs_of
from ablate.study.study import Study
from ablate.study.words import expand

TRAINER = "training.trainer"
"""Where the code that can change a number begins: what `study` decides is in the recipe, which is hashed whole."""
FIRST_READER = 1
"""The reader of attempts that name none."""
MOST_NAMED = 4
"""So many files that differ are named one by one; more are counted."""
_DECLARED = "trainer:"
"""How the code of a script was recorded once: by the version that its study declares."""


@cache
def code_version() -> dict[str, Any]:
    """`code`, the SHA-256 of the code that can change a number; `commit` and `dirty` of our own checkout, else None.

    Comments, docstrings and layout are not code: they leave `code` as it is.
    """
    package = Path(__file__).resolve().parents[1]
    source = hashlib.sha256()
    for path in _reached(package, TRAINER):
        source.update(path.relative_to(package).as_posix().encode())
        source.update(_meaning(path.read_text(encoding="utf-8")).encode())
    # a package installed into a folder below someone else's repository is not part of it
    ours = _git(package, "ls-files", "--error-unmatch", "__init__.py") is not None
    commit = _git(package, "rev-parse", "HEAD") if ours else None
    status = _git(package, "status", "--porcelain", "--", ".") if commit else None
    return {"code": source.hexdigest(), "commit": commit, "dirty": bool(status) if status is not None else None}


@dataclass(frozen=True)
class Code:
    """The code that would train a run here. `digest` has 64 hex digits.

    Of a script, `files` maps names (relative to the study's folder) to SHA-256s, `absent` is its program as the command names it,
    where that is not here, and `reader` the version of our reader of its output, None where it reports by itself.
    """

    digest: str
    files: Mapping[str, str] = field(default_factory=dict)
    absent: str = ""
    reader: int | None = None
    script: bool = False

    def recorded(self) -> dict[str, Any]:
        """What an attempt's environment keeps of it."""
        reader = {} if self.reader is None else {"reader": self.reader}
        return {"code": self.digest, "commit": None, "dirty": None, "files": dict(self.files), **reader}


@dataclass(frozen=True)
class Freshness:
    """How the code of a result stands to the code here. `why` names the files that differ; not `known`: nobody can tell here."""

    stale: bool = False
    known: bool = True
    why: str = ""


def code_of(trainer: Mapping[str, Any] | None, seed: int = 0, folder: Path = Path(), watch: Sequence[str] = ()) -> Code:
    """The code of one run: our own trainer's, or, of another (`Run.trainer`), its files as they lie in the study's folder."""
    return _Codes(folder, watch).of(trainer, seed)


def environment_of(trainer: Mapping[str, Any] | None) -> dict[str, Any]:
    """What each attempt of a grid records of its code. Of another trainer the worker notes it, for each run as it begins."""
    return code_version() if trainer is None else {}


def codes_of(study: Study, folder: Path | None = None) -> dict[str, Code]:
    """The code of each run of a study and of each parent, by run id, as it is now. `folder`: where not the study file's own."""
    return codes_in(folder or Path(study.file).parent, (*study.parents, *study.runs), globs_of(study.trainer))


def codes_in(folder: Path, runs: Iterable[Run], watch: Sequence[str]) -> dict[str, Code]:
    """The code of each run, by run id, as it is in a folder."""
    codes = _Codes(folder, watch)
    return {run.run_id: codes.of(run.trainer, run.seed) for run in runs}


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

    def of(self, trainer: Mapping[str, Any] | None, seed: int) -> Code:
        if trainer is None:
            return Code(code_version()["code"])
        if "python" in trainer:
            key: Any = str(trainer["python"])
        else:  # of the run itself only the seed may stand in a file's name
            given = tuple(map(str, trainer["command"]))
            key = (given, seed if any("{seed}" in word for word in given) else 0)
        if key not in self._known:
            self._known[key] = self._look(key)
        return self._known[key]

    def _look(self, key: Any) -> Code:
        if isinstance(key, str):
            return _code(self._scripts.of_module(key.partition(":")[0]), None)
        given, seed = key
        return _code(self._scripts.of_command(expand(given, seed, RUN_DIR)), READER)


def _code(files: Files, reader: int | None) -> Code:
    digest = hashlib.sha256(canonical_json({"files": files.digests, "reader": reader}).encode()).hexdigest()
    return Code(digest, files.digests, files.absent, reader, script=True)


def compare(code: Code, recorded: str | None, environment: Mapping[str, Any]) -> Freshness:
    """How a result stands to the code here: `recorded` and `environment` are its attempt's.

    Attempts of before scripts had a digest (`trainer:VERSION`) are compared by those files that are known of both, and their
    numbers were read by the first reader.
    """
    if recorded is None or recorded == code.digest:
        return Freshness()
    if not code.script:
        return Freshness(stale=True)
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


def _normal(files: Any, folder: str) -> dict[str, str]:
    """Recorded files under the names that they have here: older attempts kept a command's words as they stood."""
    if not isinstance(files, Mapping):
        return {}
    inside = posixpath.join(folder, "")
    names = {name: posixpath.normpath(str(name)) for name in files}
    return {normal.removeprefix(inside) if folder else normal: str(files[name]) for name, normal in names.items()}


def _has_pattern(trainer: Any) -> bool:
    """Whether numbers were read by a pattern, as an attempt's environment tells of its trainer."""
    metrics = trainer.get("metrics") if isinstance(trainer, Mapping) else None
    return any(pattern is not None for pattern in metrics.values()) if isinstance(metrics, Mapping) else False


def _reached(package: Path, start: str) -> list[Path]:
    """The files of the room of `start` that importing it runs, sorted: what the trainer does not import ages no result."""
    room = start.partition(".")[0]
    found: dict[str, Path] = {}
    waiting = [start]
    while waiting:
        name = waiting.pop()
        path = package.joinpath(*name.split("."))
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        if name in found or name.partition(".")[0] != room or not path.is_file():
            continue
        found[name] = path
        waiting += [name.rpartition(".")[0], *_imports(path.read_text(encoding="utf-8"), package.name)]
    return sorted(found.values())


def _imports(source: str, package: str) -> list[str]:
    """The modules of `package` that a source file may import, without the package's name."""
    names: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return [name.removeprefix(f"{package}.") for name in names if name.startswith(f"{package}.")]


def _meaning(source: str) -> str:
    """The syntax tree of a module without its docstrings."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [item for item in body if not _is_text(item)]  # type: ignore[attr-defined]
    return ast.dump(tree)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _git(folder: Path, *arguments: str) -> str | None:
    """The output of a git command, or None where git, the repository or the file is not there."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
