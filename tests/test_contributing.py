"""CONTRIBUTING.md names what is there: files and folders, targets, links; and what else a newcomer reads agrees with the code."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from ablate.study.document.source import read
from ablate.version import __version__

ROOT = Path(__file__).resolve().parents[1]
PAGES = ("CONTRIBUTING.md", "SECURITY.md")
TEXT = {name: (ROOT / name).read_text(encoding="utf-8") for name in PAGES}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PLACES = sorted({place for text in TEXT.values() for place in re.findall(r"`((?:ablate|tests|docs)/[\w./]*)`", text)})
LINKS = sorted({link for text in TEXT.values() for link in re.findall(r"\]\(([^)]+)\)", text)})


@pytest.mark.parametrize("place", PLACES)
def test_every_file_and_folder_is_there(place: str) -> None:
    assert (ROOT / place).exists()


@pytest.mark.parametrize("link", LINKS)
def test_every_link_leads_somewhere(link: str) -> None:
    file, _, heading = link.partition("#")
    titles = re.findall(r"^#+ (.*)$", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)
    assert not heading or heading in [re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles]


def test_every_target_is_in_the_makefile() -> None:
    named = re.findall(r"(?:`|^)make ([a-z ]+?)(?:`|$)", TEXT["CONTRIBUTING.md"], re.MULTILINE)
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert {"install", "test", "reports"} <= {word for words in named for word in words.split()} <= set(targets)


def test_every_kind_of_part_of_the_guide_is_in_the_table() -> None:
    guide = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
    folders = re.findall(r"^\| .* \| (`ablate/[\w/]+`) \| `\w+ = ", guide, re.MULTILINE)
    assert len(folders) > 8
    assert [folder for folder in folders if f"| {folder} |" not in TEXT["CONTRIBUTING.md"]] == []


def test_the_citation_is_of_this_version() -> None:
    cited = read(ROOT / "CITATION.cff").data
    assert (cited["title"], str(cited["version"]), cited["license"]) == ("ablate", __version__, PROJECT["license"])


def test_the_distribution_is_not_called_as_another_one_is() -> None:
    """Another distribution is called ablate: nothing tells anyone to install that."""
    assert PROJECT["name"] == "ablate-studies"
    wrong = re.compile(r"pip install[^\n`]*[ '\"]ablate\b(?!-studies|/)")
    files = [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("experiments/**/*.md"),
        *ROOT.glob("ablate/**/*.py"),
    ]
    assert [path for path in files if wrong.search(path.read_text(encoding="utf-8"))] == []
