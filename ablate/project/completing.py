"""What can stand in a command line: names of studies, files, tables, arms and runs. Nothing is written or locked."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from ablate.project.database import database_url

if TYPE_CHECKING:
    from ablate.store.store import Store

LIMIT = 200
"""At most so many names of a kind, and so many files looked into."""
PATIENCE = 0.5
"""Seconds to wait for a locked database."""
HEAD = 20_000

_STUDY, _TUNING = re.compile(r"^study:", re.MULTILINE), re.compile(r"^space:", re.MULTILINE)


def study_files(typed: str = "", *, tunings: bool = False) -> list[str]:
    """Study files (or tuning files) here and below `experiments/`; where a folder is typed, its files and folders."""
    if "/" not in typed:
        found = [*sorted(Path().glob("*.y*ml")), *sorted(Path("experiments").glob("**/*.y*ml"))]
        return [str(path) for path in found[:LIMIT] if _is_study(path, tunings)]
    folder = Path(typed.rpartition("/")[0] or "/")
    lead = typed[: typed.rindex("/") + 1]
    there = [path for path in sorted(folder.iterdir()) if path.name.startswith(typed.rpartition("/")[2])][:LIMIT]
    return [f"{lead}{path.name}{'/' if path.is_dir() else ''}" for path in there if path.is_dir() or _is_study(path, tunings)]  # fmt: skip


def _is_study(path: Path, tunings: bool) -> bool:
    if path.suffix not in (".yaml", ".yml") or not path.is_file():
        return False
    with path.open(encoding="utf-8", errors="replace") as stream:
        head = stream.read(HEAD)
    return bool(_STUDY.search(head)) and bool(_TUNING.search(head)) == tunings


def study_names(db: str | None) -> list[str]:
    """The names of stored studies, the one run last first."""
    with _reading(db) as store:
        return list(dict.fromkeys(record.name for record in store.studies()))[:LIMIT]


def table_names(study: str | None, db: str | None) -> list[str]:
    """The tables that a study declares, a file or a name; without a study, those of the one run last, then of the others."""
    if study is not None and study.endswith((".yaml", ".yml")):
        from ablate.study.document.find import find

        return _tables_of(find(study).read_text(encoding="utf-8-sig"))
    with _reading(db) as store:
        texts = dict.fromkeys(record.source for record in store.studies(name=study)[:LIMIT])
    return list(dict.fromkeys(name for text in texts for name in _tables_of(text)))[:LIMIT]


def _tables_of(text: str) -> list[str]:
    """The keys of `tables:` by their place in the text, as the file may be half written."""
    lines = iter(text.splitlines())
    if not any(re.match(r"tables:\s*(#.*)?$", line) for line in lines):
        return []
    found: list[tuple[int, str]] = []
    for line in lines:
        if re.match(r"[^\s#]", line):
            break
        if key := re.match(r"( +)['\"]?([^\s'\":#{}]+)['\"]?\s*:", line):
            found.append((len(key[1]), key[2]))
    return [name for depth, name in found if depth == found[0][0]]


def arm_names(study: str | None, db: str | None) -> list[str]:
    """The arms of a stored study, or of all."""
    with _reading(db) as store:
        return store.arm_names(study, LIMIT)


def run_names(typed: str, db: str | None) -> list[tuple[str, str]]:
    """Runs whose ids start with what is typed, each with arm, seed and state; the newest first."""
    from ablate.study.recipes.digest import SHORT

    with _reading(db) as store:
        found = store.run_names(typed, LIMIT)
    length = max(SHORT, len(typed))
    return [(run[:length], f"{arm} seed {seed}, {state}".lstrip()) for run, arm, seed, state in found]


def _reading(db: str | None) -> Store:
    """The database for reading. Raises NotFound where there is none."""
    from ablate.store.store import Store

    return Store.open(database_url(db), read_only=True, timeout=PATIENCE)
