"""docs/architecture.md names modules that are there: those of its map, those of its walks, those in its sentences."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
TOPS = ("ablate", "tests", "docs", "reports", "experiments")


def mapped() -> list[str]:
    """Files and folders of the map, below ablate/: each line names some, then says what they are for."""
    (block,) = re.findall(r"^```\nablate/\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    found, package, folder = [], "", ""
    for line in block.splitlines():
        if head := re.match(r"  (\w+/) +[A-Z]", line):
            package, folder = head[1], ""
            found.append(package)
            continue
        depth = len(line) - len(line.lstrip())
        names, colon, _ = line.partition(":")
        assert colon, line
        if depth == 4 and (head := re.match(r"    (\w+/) +(?=\w)(?!.*/)", names)):
            folder, names = head[1], names[head.end() :]
            found.append(package + folder)
        elif depth <= 4:
            folder = ""
        found += [(package if depth > 2 else "") + folder + name for name in names.split()]
    return found


MAPPED = mapped()


def test_the_map_names_what_is_there() -> None:
    def there(place: str) -> bool:
        path = ROOT / "ablate" / place
        return path.is_dir() if place.endswith("/") else path.with_suffix(".py").is_file()

    assert [place for place in MAPPED if not there(place)] == []


def test_the_map_has_every_package() -> None:
    packages = {f"{path.parent.name}/" for path in (ROOT / "ablate").glob("*/__init__.py")}
    assert packages - set(MAPPED) == set()
    assert len(MAPPED) > 200


def test_files_and_folders_of_the_text_are_there() -> None:
    places = set(re.findall(r"`((?:\w+/)+(?:\w+\.py)?)`", TEXT))
    assert len(places) > 20
    assert [
        place for place in places if not (ROOT / ("" if place.startswith(TOPS) else "ablate") / place).exists()
    ] == []


@pytest.mark.parametrize("script", sorted((ROOT / "benchmarks").glob("*.py")), ids=lambda path: path.stem)
def test_what_a_benchmark_imports_is_there(script: Path) -> None:
    """Nothing of it runs; a name that was changed in the package would leave it broken unseen."""
    runpy.run_path(str(script), run_name=script.stem)
