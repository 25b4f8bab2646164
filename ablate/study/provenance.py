"""Which code a result came from: recorded with each attempt, never part of a run's identity."""

from __future__ import annotations

import ast
import hashlib
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

TRAINER = "training.trainer"
"""Where the code that can change a number begins: what `study` decides is in the recipe, which is hashed whole."""


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


def code_of(trainer: Mapping[str, Any] | None) -> dict[str, Any]:
    """As `code_version`, for a study with a trainer of its own: its code is the version that the study declares, which is part of
    each run's identity. So nothing of ours ages its results, and `commit` stays unknown."""
    if trainer is None:
        return code_version()
    version = trainer.get("version")
    return {"code": f"trainer:{1 if version is None else version}", "commit": None, "dirty": None}


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
