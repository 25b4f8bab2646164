"""What people see: in a terminal and in a pipe, at 80 columns, and that every screen says what to do next."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ablate.cli.screens import _kind

COLOUR = re.compile(r"\x1b\[[0-9;]*3[0-9](;[0-9;]*)?m")


def in_a_terminal(*args: object, cwd: Path, **environment: str) -> tuple[int, str]:
    """The command with a terminal of 80 columns as all of its streams."""
    kept = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "COLUMNS")}
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "ablate", *map(str, args)],
        stdin=theirs, stdout=theirs, stderr=theirs, cwd=cwd, close_fds=True,
        env={**kept, "TERM": "xterm-256color", "COLUMNS": "80", **environment},
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # how Linux says that nobody is at the other end any more
            break
        if not part:
            break
        shown += part
    os.close(ours)
    return process.wait(timeout=60), shown.decode()


@pytest.mark.slow
def test_a_terminal_has_emphasis_and_no_color_is_honoured(three: Path, fill) -> None:
    fill(three)
    code, shown = in_a_terminal("report", "tiny", "--format", "html", cwd=three.parent)
    assert code == 0
    assert COLOUR.search(shown), "the verdict of a claim"
    code, shown = in_a_terminal("report", "tiny", "--format", "html", cwd=three.parent, NO_COLOR="1")
    assert code == 0
    assert not COLOUR.search(shown)


@pytest.mark.slow
def test_a_grid_in_a_terminal_shows_a_bar_and_leaves_it_clean(tiny: Path) -> None:
    code, shown = in_a_terminal("grid", "run", tiny, "--set", "epochs=1", "--threads", "1", cwd=tiny.parent)
    assert code == 0
    assert "/4 runs" in shown
    assert "[4/4] done  smooth seed 1" in shown
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h"), "the cursor is back"


@pytest.mark.parametrize(
    "command",
    [["grid", "plan", "tiny.yaml"], ["status", "tiny"], ["runs", "list"], ["report"], ["data", "list"], ["grid", "check", "tiny.yaml"]],
    ids=" ".join,
)  # fmt: skip
def test_nothing_in_a_pipe_is_decorated_or_wider_than_80(call, three: Path, fill, command: list[str]) -> None:
    fill(three)
    said = call(*command)
    assert "\x1b" not in said.out + said.err
    wide = [line for line in said.out.splitlines() if len(line) > 80]
    assert [line for line in wide if str(three.parent) not in line] == [], "only a path may stick out"


@pytest.mark.slow
def test_every_screen_says_what_to_do_next(call, tiny: Path, fill) -> None:
    assert "4 runs left: ablate grid run tiny.yaml\n" in call("grid", "plan", "tiny.yaml").told().err
    fill(Path("tiny.yaml"), lambda arm, seed: {"top1": 0.5} if seed else None)
    left = "2 runs left: ablate grid run tiny.yaml\n"
    assert call("grid", "plan", "tiny.yaml").err == left
    assert call("status").err == "  No worker is active.\n  " + left
    assert call("report", "tiny", "--format", "md").err.endswith(left)
    assert "ablate runs show RUN" in call("runs", "list").told().err
    assert "--limit" in call("runs", "list", "--limit", "1").told().err
    assert len(call("runs", "list", "--state", "failed").told().out.splitlines()) == 1, "the header alone"
    assert "recipe: {data: {name: NAME}}" in call("data", "list").err.splitlines()[-1]
    assert re.fullmatch(
        r"No problems found. Next: ablate grid plan STUDY.yaml\n|\d+ warnings?: see the advice below each.\n",
        call("doctor").err,
    )
    fill(Path("tiny.yaml"))
    assert ": ablate report tiny.yaml\n" in call("grid", "plan", "tiny.yaml").told().err


def test_an_estimate_leaves_out_what_is_like_nothing_that_ran(call, tiny: Path, fill) -> None:
    text = tiny.read_text().replace("{path: loss.label_smoothing, levels: {plain: 0.0, smooth: 0.1}}", "{path: model.arch, levels: {plain: three-layer-cnn, smooth: resnet50}}")  # fmt: skip
    tiny.write_text(text)
    fill(tiny, lambda arm, seed: {"top1": 0.5} if (arm, seed) == ("plain", 0) else None)
    shown = call("grid", "plan", "tiny.yaml").out
    assert "  about 2 s on one worker, from past runs\n" in shown, "the one run left of a shape that has run"
    assert "  not counting 2 runs: no similar run is done yet\n" in shown
    assert "tiny: 1 of 4 runs done, 3 to run; more than 2 s left" in call("watch", "tiny", "--once").out


def test_a_report_names_the_tables_that_it_does_not_print(call, three: Path, fill) -> None:
    fill(three)
    assert "--table NAME: curve\n" in call("report", "tiny").told().err
    assert "--table NAME: top1_top5\n" in call("report", "tiny", "--table", "curve").told().err


def test_the_database_that_was_named_is_named_again(call, tiny: Path, fill, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ABLATE_DB", f"sqlite:///{tiny.parent / 'my results.db'}")
    fill(tiny)
    said = call("status", "tiny", "--db", "my results.db").err
    assert said == f"  Nothing left to run. The report: ablate report {tiny} --db 'my results.db'\n"


def test_many_failures_are_told_by_reason_not_one_by_one(call, tiny: Path, fill) -> None:
    tiny.write_text(tiny.read_text().replace("seeds: 2", "seeds: 40"))
    fill(tiny, lambda arm, seed: "diverged" if arm == "smooth" else "failed")
    said = call("status", "tiny").err.splitlines()
    assert said[0] == "40 failed (plain seed 0, plain seed 1, plain seed 2 and 37 more): ValueError: no such layer"
    assert said[2].startswith("40 failed (smooth seed 0, smooth seed 1, smooth seed 2 and 37 more): diverged: the loss is not")  # fmt: skip
    assert len(said) == 5, "two reasons with a command each, and what to do next"
    assert said[4].endswith("--retry failed")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("worker 4711 was killed", "worker 8123 was killed", True),
        ("pid 12 is gone", "pid 713 is gone", True),
        ("no data in /a/b c: seed 1", "no data in /x/y c: seed 2", True),
        ("/tmp/run1/x.py: no such file", "/tmp/run2/x.py: no such file", True),
        ("the command exited with status 1", "the command exited with status 2", False),
        ("lr 0.1234 is too high", "lr 0.5678 is too high", False),
        ("3/4 of the images", "1/4 of the images", False),
    ],
)
def test_reasons_that_differ_by_what_is_of_one_run_are_one(one: str, other: str, same: bool) -> None:
    assert (_kind(one) == _kind(other)) is same


def test_missing_runs_of_many_arms_are_counted_and_said_once(call, tmp_path: Path, fill) -> None:
    study = tmp_path / "wide.yaml"
    levels = ", ".join(f"l{n}: {n / 10}" for n in range(8))
    study.write_text(
        "study: wide\nrecipe: {data: {name: digits}}\n"
        f"factors:\n  smoothing: {{path: loss.label_smoothing, levels: {{{levels}}}}}\n"
        "seeds: 3\nbaseline: {smoothing: l0}\ntables:\n  t: {rows: smoothing, columns: [top1]}\n"
    )
    fill(study, lambda arm, seed: {"top1": 0.5} if arm in ("l0", "l1") else None)
    out = " ".join(call("report", "wide", "--format", "text").out.split())
    assert out.count("not run") == 1, "at the marks"
    assert "Missing runs leave an arm's comparisons undecided." in out
    page = call("report", "wide", "--format", "md").out
    assert "Missing runs leave an arm's comparisons undecided. 6 of 8 arms lack some: 6 of 24 runs are done." in page


@pytest.mark.slow
def test_a_second_file_of_the_same_name_is_told(cli, tiny: Path) -> None:
    other = tiny.with_name("other.yaml")
    other.write_text(tiny.read_text().replace("epochs: 2", "epochs: 1"))
    cli("grid", "run", str(tiny), "--executor", "inline", "--limit", "1", "--seeds", "1", "--threads", "1")
    said = cli(
        "grid", "run", str(other), "--executor", "inline", "--limit", "1", "--seeds", "1", "--threads", "1"
    ).stderr
    assert f"warning: tiny was last run from {tiny}, with a different design. The name now refers to {other}." in said
