"""Closed streams, terminals that know no UTF-8, readers that go away: words, whole data, and the exit code of the work."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Shell = Callable[..., "subprocess.CompletedProcess[bytes]"]
ABLATE = f"{sys.executable} -m ablate"


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    """A line for bash, with ABLATE for the command; what it left, as bytes."""

    def run(line: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
        text = f"set -o pipefail\n{line.replace('ABLATE', ABLATE)}"
        done = subprocess.run(
            ["bash", "-c", text], cwd=tmp_path, capture_output=True, timeout=300, env={**os.environ, **environment}
        )
        assert b"Traceback" not in done.stderr, done.stderr.decode()
        assert b"Exception" not in done.stderr, done.stderr.decode()
        return done

    return run


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("ABLATE report tiny --format md --check | head -1", 7),
        ("ABLATE report tiny --format md --check | true", 7),
        ("ABLATE report tiny --format md --check 2>&1 | true", 7),
        ("ABLATE report tiny --format json | head -c 1", 0),
        ("ABLATE status nothing-of-that-name | true", 5),
        ("ABLATE runs list --json | true", 0),
        ("ABLATE watch tiny | true", 0),
    ],
)
def test_a_reader_that_goes_away_changes_no_exit_code(shell: Shell, three: Path, fill, line: str, code: int) -> None:
    fill(three)
    assert shell(line).returncode == code


@pytest.mark.slow
@pytest.mark.parametrize("end", ["| true", "| head -1", ">&-", "2>&-", ">&- 2>&-", "2>&1 | true"])
def test_a_grid_with_failures_leaves_with_4_whoever_listens(shell: Shell, tiny: Path, fill, end: str) -> None:
    fill(tiny, lambda arm, seed: "failed" if arm == "smooth" else {"top1": 0.5, "top5": 0.9})
    assert shell(f"ABLATE grid run {tiny} {end}").returncode == 4


@pytest.mark.slow
def test_watch_ends_with_its_reader(shell: Shell, tiny: Path, fill) -> None:
    fill(tiny, lambda arm, seed: None)
    done = shell("ABLATE watch tiny --every 0.1 | head -1")
    assert done.returncode == 0
    assert done.stdout.startswith(b"tiny: 0 of 4 runs done, 4 to run")


@pytest.mark.slow
def test_closed_streams_are_told_and_change_nothing(shell: Shell, tiny: Path, fill) -> None:
    fill(tiny)
    done = shell("ABLATE status tiny >&-")
    assert (done.returncode, done.stdout) == (0, b"")
    assert done.stderr.startswith(b"warning: stdout is closed, so nothing is printed there.\n")
    whole = shell("ABLATE runs list --json").stdout
    assert shell("ABLATE runs list --json 2>&-").stdout == whole
    assert shell("ABLATE runs list --json <&-").stdout == whole
    assert shell("ABLATE clean <&- 2>&-").returncode == 0
    assert shell("ABLATE grid run tiny.yaml >&- 2>&- <&-").returncode == 0
    assert shell("ABLATE db check").stdout == b"ok\n", "no output went into the database"


NAMES = "prédiction✓結果😀"


@pytest.fixture
def named(tiny: Path, fill) -> Path:
    """A study with letters that few encodings know."""
    text = tiny.read_text().replace("levels: {plain: 0.0", f"levels: {{'{NAMES}': 0.0")
    text = text.replace("baseline: {smoothing: plain}", f"baseline: {{smoothing: '{NAMES}'}}")
    text = text[: text.index("    reported")]
    tiny.write_text(text, encoding="utf-8")
    fill(tiny)
    return tiny


@pytest.fixture
def show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], bytes]:
    """What a command writes to a stdout of some encoding, in this process; it must leave with 0."""
    monkeypatch.chdir(tmp_path)

    def show(command: str, encoding: str) -> bytes:
        from ablate.cli.app import main

        stream = io.TextIOWrapper(written := io.BytesIO(), encoding=encoding, errors="strict")
        with monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["ablate", *command.split()])
            patch.setattr(sys, "stdout", stream)
            with pytest.raises(SystemExit) as left:
                main()
        assert not left.value.code, command
        stream.flush()
        return written.getvalue()

    return show


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_any_terminal_shows_every_command(show, named: Path, encoding: str) -> None:
    for command in (
        "status tiny", "status", "grid plan tiny.yaml --power", "report tiny", "watch tiny --once", "runs list", "db info",
        "report tiny --format md", "report tiny --format latex", "report tiny --format csv", "grid run tiny.yaml",
    ):  # fmt: skip
        assert show(command, encoding).decode(encoding)


@pytest.mark.slow
@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-16"])
def test_json_is_the_same_document_in_any_encoding(show, named: Path, encoding: str) -> None:
    for command in (
        "status tiny --json",
        "grid plan tiny.yaml --json",
        "report tiny --format json",
        "runs list --json",
    ):
        document = json.loads(show(command, encoding).decode(encoding))
        assert document == json.loads(show(command, "utf-8"))
        assert NAMES in json.dumps(document, ensure_ascii=False)


@pytest.mark.slow
def test_marks_of_our_own_have_a_plain_form(shell: Shell, named: Path) -> None:
    shown = shell("ABLATE status tiny", PYTHONIOENCODING="ascii:strict").stdout.decode("ascii")
    assert "v done  . to run" in shown
    assert "  vv     pr\\xe9dictionv\\u7d50\\u679c\\U0001f600" in shown


def test_a_table_keeps_its_uncertainty_in_ascii(show, named: Path) -> None:
    assert b"+/-" in show("report tiny --format md", "ascii")
