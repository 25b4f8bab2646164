"""Where a study file is: as named, else in `experiments/`."""

from __future__ import annotations

import re
from pathlib import Path

from ablate.errors import NotFound, nearest


def find(name: str | Path) -> Path:
    """The file that a name means: as given, else in `experiments/` or below it. Raises NotFound with what is there."""
    path = Path(name)
    if _is_file(path) or path.is_absolute():
        return path
    there = sorted(Path("experiments").glob("**/*.yaml"))
    if path.parent == Path() and path.name:
        wanted = (path.name, f"{path.name}.yaml")
        first = [Path("experiments") / name for name in wanted] + [Path(wanted[1])]
        for candidate in first:
            if _is_file(candidate):
                return candidate
        below = [other for other in there if other.name in wanted]
        if len(below) == 1:
            return below[0]
        if below:
            raise NotFound(f"{name} could be {' or '.join(map(str, below))}; name one of them.")
    hint = nearest(str(name), [other.name for other in there])
    listed = f" Study files here: {', '.join(map(str, there[:50]))}." if there else ""
    raise NotFound(
        f"{str(name)[:200]}: no such study file, neither here nor in experiments/.{hint}{listed}", code="absent-study"
    )


def files_of(study: str) -> list[Path]:
    """The files here and in `experiments/` that say `study: NAME`, by their text: they need not be valid."""
    found = []
    for path in (*sorted(Path().glob("*.yaml")), *sorted(Path("experiments").glob("**/*.yaml"))):
        try:
            if says_study(path.read_text(encoding="utf-8"), study):
                found.append(path)
        except (OSError, ValueError):  # not to be read, or no text
            continue
    return found


def says_study(text: str, study: str) -> bool:
    """Whether a text, valid or not, has the line `study: NAME`."""
    return bool(re.search(rf"^study:\s*['\"]?{re.escape(study)}['\"]?\s*(#.*)?$", text, re.MULTILINE))


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name too long, a folder that may not be read
        return False
