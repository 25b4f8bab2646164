"""Makes the README's two pictures from the published results: `python docs/pictures.py` in the project's folder.

docs/report.png   the top of a report's page, by headless Chromium (or Chrome), which must be on PATH
docs/terminal.svg the same study in a terminal of 80 columns
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.terminal_theme import DIMMED_MONOKAI
from rich.text import Text

STUDY, TABLE = "refinements", "effects"
HERE = Path(__file__).resolve().parent
WIDTH, HEIGHT = 1100, 1000
"""Pixels of the page that are shown."""
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")


def main() -> None:
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.exit(f"No browser was found on PATH: one of {', '.join(BROWSERS)}.")
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, "page.html")
        ablate("report", STUDY, "--out", str(page))
        shoot(browser, page, HERE / "report.png")
    draw(f"ablate report {STUDY} --table {TABLE}", HERE / "terminal.svg")


def ablate(*words: str) -> str:
    """What the command prints, with its colours, in a terminal of 80 columns. Reads the published results.db."""
    known = {**os.environ, "ABLATE_DB": "sqlite:///results.db", "FORCE_COLOR": "1", "COLUMNS": "80"}
    command = [sys.executable, "-m", "ablate", *words]
    return subprocess.run(command, cwd=HERE.parent, env=known, check=True, capture_output=True, text=True).stdout


def shoot(browser: str, page: Path, picture: Path) -> None:
    """The top of a page."""
    flags = ["--headless", "--no-sandbox", "--hide-scrollbars", "--virtual-time-budget=8000"]
    size = f"--window-size={WIDTH},{HEIGHT}"
    subprocess.run([browser, *flags, size, f"--screenshot={picture}", page.as_uri()], check=True, capture_output=True)


def draw(command: str, picture: Path) -> None:
    """A command and what it prints."""
    console = Console(record=True, width=80, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(Text(f"$ {command}", style="bold"))
    console.print(Text.from_ansi(ablate(*command.split()[1:])), end="")
    head, _, rest = CONSOLE_SVG_FORMAT.partition("@font-face")
    plain = head + rest[rest.rindex("@font-face") :].partition("}}")[2]  # its fonts would be fetched from a host
    picture.write_text(console.export_svg(title="ablate", theme=DIMMED_MONOKAI, code_format=plain))


if __name__ == "__main__":
    main()
