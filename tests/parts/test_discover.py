"""What is found by listing a folder and an entry-point group: names, order, and what is broken."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from golden_texts import raising

from ablate.errors import UsageError
from ablate.parts.discover import Catalog


@dataclass(frozen=True)
class Thing:
    name: str


@pytest.fixture
def catalog(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Callable[..., Catalog[Thing]]:
    """Writes a package of declarations and an installed one with entry points; the catalog of both."""
    package = f"things_{abs(hash(request.node.name))}"
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(sys.modules, "thing", sys.modules[__name__])

    def write(
        ours: dict[str, str], entries: dict[str, str] | None = None, theirs: dict[str, str] | None = None
    ) -> Catalog[Thing]:
        (tmp_path / package).mkdir()
        for name, text in {"__init__": "", **ours}.items():
            (tmp_path / package / f"{name}.py").write_text(text)
        for name, text in (theirs or {}).items():
            (tmp_path / f"{package}_{name}.py").write_text(text)
        told = tmp_path / "plug_in-1.0.dist-info"
        told.mkdir()
        (told / "METADATA").write_text("Metadata-Version: 2.1\nName: plug-in\nVersion: 1.0\n")
        lines = [f"{name} = {package}_{value}" for name, value in (entries or {}).items()]
        (told / "entry_points.txt").write_text("\n".join([f"[{package}.things]", *lines]))
        return Catalog("thing", Thing, package, f"{package}.things", "THING")

    return write


ONE = "from thing import Thing\nTHING = Thing('{}')\n"
TWO = "from thing import Thing\nTHINGS = (Thing('c'), Thing('a'))\n"


def test_files_and_entry_points_are_found_in_the_order_of_their_names(catalog) -> None:
    found = catalog(
        {"x": ONE.format("b"), "y": TWO, "helper": "pass"},
        {"d": "m", "e": "m:OTHER"},
        {"m": ONE.format("d") + "OTHER = Thing('e')\n"},
    )
    assert list(found.all()) == ["a", "b", "c", "d", "e"]
    assert found.broken() == ()


def test_what_is_broken_keeps_nobody_from_the_rest(catalog) -> None:
    found = catalog(
        {"a": ONE.format("a"), "b": "import no_such_library"},
        {"x": "gone", "y": "m", "z": "n", "a": "o"},
        {"m": "", "n": "THING = 3", "o": ONE.format("a")},
    )
    assert list(found.all()) == ["a"]
    whys = {one.name: one.why for one in found.broken()}
    assert whys["b"] == "ModuleNotFoundError: No module named 'no_such_library'"
    assert whys["x"].startswith("ModuleNotFoundError: No module named")
    assert whys["y"].endswith("_m has neither THING nor THINGS")
    assert whys["z"].endswith("_n: THING must be a Thing, not 3")
    assert whys["a"].startswith("thing 'a'")
    with pytest.raises(UsageError) as refused:
        found.get("x")
    said = str(refused.value)
    assert said.startswith("unknown thing 'x'; allowed: a.\nthe entry point 'x' in things_")
    assert "of the package plug-in can't be used: ModuleNotFoundError" in said


def test_a_name_that_is_close_is_suggested(catalog) -> None:
    with raising(UsageError):
        catalog({"x": ONE.format("slurm")}).get("slum")
