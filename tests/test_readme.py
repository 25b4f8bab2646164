"""Every command of the README: it exists with these options, and the cheap ones do what they say."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from ablate.cli.app import app
from ablate.store.host import WorkerInfo
from ablate.store.store import Store
from ablate.study.loader import load
from ablate.study.records import Outcome

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
CHEAP = (["grid", "plan"], ["grid", "check"], ["grid", "schema"], ["status"], ["report"], ["data", "list"], ["runs", "list"], ["db", "info"], ["db", "check"], ["doctor"])  # fmt: skip

OWN = "bigram"
"""The commands about a custom script: cheap enough to be run as they stand, in their order."""


def lines() -> list[str]:
    """The lines of the README's code blocks that are a command of ours, without prompt and comment."""
    if not README.exists():
        return []
    blocks = re.findall(r"^```[a-z]*\n(.*?)^```", README.read_text(), re.DOTALL | re.MULTILINE)
    found = [line.strip().removeprefix("$ ") for block in blocks for line in block.splitlines()]
    return [line for line in dict.fromkeys(found) if line.startswith(("ablate ", "make "))]


def words(line: str) -> list[str]:
    return shlex.split(line, comments=True)[1:]


def ablate(cheap: bool = False) -> list[str]:
    found = [line for line in lines() if line.startswith("ablate ")]
    return [line for line in found if not cheap or any(words(line)[: len(start)] == start for start in CHEAP)]


def parse(args: list[str]) -> None:
    """Let typer read a command line, groups first, without running anything. Raises on what it does not know."""
    command: Any = typer.main.get_command(app)
    context = command.make_context("ablate", args)
    while hasattr(command, "resolve_command"):
        name, command, args = command.resolve_command(context, [*context._protected_args, *context.args])
        context = command.make_context(name, args, parent=context)


def test_the_readme_shows_commands() -> None:
    assert any(line.startswith("ablate grid run ") for line in lines())
    assert any(line.startswith("make ") for line in lines())


@pytest.mark.parametrize("line", ablate())
def test_every_command_parses(line: str) -> None:
    parse(words(line))


def test_a_command_that_is_not_there_is_noticed() -> None:
    parse(["grid", "plan", "x.yaml", "--profile", "cpu"])
    for wrong in (["grid", "plam", "x.yaml"], ["grid", "plan", "x.yaml", "--profil", "cpu"], ["runs", "show"]):
        with pytest.raises(Exception, match=r"No such|Missing parameter"):
            parse(wrong)


@pytest.mark.parametrize("line", [line for line in lines() if line.startswith("make ")])
def test_every_target_is_in_the_makefile(line: str) -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(words(line)) <= set(targets)


@pytest.fixture
def finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the studies of the repository, in which the quickstart is done, with made-up numbers."""
    shutil.copytree(ROOT / "experiments", tmp_path / "experiments")
    monkeypatch.chdir(tmp_path)
    fill(os.environ["ABLATE_DB"])
    return tmp_path


def fill(url: str) -> None:
    """All runs of the quickstart, in the working folder, as done."""
    study = load("experiments/quickstart.yaml")
    with Store.open(url) as store:
        key = store.save_study(study, call_options={"set": [], "seeds": None})
        while claim := store.claim(key, WorkerInfo.here(device="cpu")):
            top1 = 0.8 + 0.01 * claim.run.seed
            store.finish(claim, Outcome({"top1": top1, "top5": 0.97, "loss": 0.5}, "test"), 1.0)


@pytest.mark.parametrize(
    "line", [*(line for line in ablate(cheap=True) if OWN not in line), "ablate grid run experiments/quickstart.yaml"]
)
def test_cheap_commands_do_what_they_say(
    line: str, finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`grid run` of a study that is done is cheap as well: it trains nothing."""
    from ablate.cli.app import main

    line = line.replace(" --db quickstart.db", "")  # the finished study is in the test's own database
    monkeypatch.setattr(sys, "argv", shlex.split(line, comments=True))
    with pytest.raises(SystemExit) as left:
        main()
    said = capsys.readouterr()
    assert (left.value.code or 0) == 0, said.err
    assert said.out


def test_the_study_in_the_readme_is_the_quickstart() -> None:
    from ablate.study.loader import load, load_text

    block = README.read_text().split("```yaml\n")[1].split("```")[0]
    shown, real = load_text(block, "README.md"), load(ROOT / "experiments" / "quickstart.yaml")
    assert [run.run_id for run in shown.runs] == [run.run_id for run in real.runs]
    assert set(shown.tables) <= set(real.tables)


@pytest.mark.slow
def test_the_script_of_ones_own_is_run_as_the_readme_says(
    finished: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from ablate.cli.app import main

    for name in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        monkeypatch.delenv(name, raising=False)
    own = [line for line in ablate() if OWN in line]
    assert [words(line)[0] for line in own] == ["grid", "grid", "report"]
    for line in own:
        monkeypatch.setattr(sys, "argv", shlex.split(line, comments=True))
        with pytest.raises(SystemExit) as left:
            main()
        said = capsys.readouterr()
        assert (left.value.code or 0) == 0, said.err
    assert "| c | **−" in said.out


def test_the_readme_shows_the_script_of_ones_own_as_it_is() -> None:
    from ablate.study.document.source import parse, read

    block = README.read_text().split("## Ablate your own script")[1].split("```yaml\n")[1].split("```")[0]
    whole = read(ROOT / "experiments" / "examples" / "bigram.yaml").data
    assert {key: whole[key] for key in parse(block).data} == parse(block).data


def test_the_first_table_is_what_the_tool_prints(
    finished: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its headings and rows; the numbers are a measurement of 48 runs, which a test does not repeat."""
    from ablate.cli.app import main

    shown = [line for line in README.read_text().splitlines() if line.startswith("|")][:6]
    line = next(line for line in lines() if "--table effects" in line)
    monkeypatch.setattr(sys, "argv", shlex.split(line))
    with pytest.raises(SystemExit):
        main()
    printed = [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")]
    assert [row.split("|")[1] for row in shown] == [row.split("|")[1] for row in printed]
    assert shown[:2] == printed[:2]


@pytest.mark.slow
def test_the_lines_of_the_start_leave_a_clone_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`git status` is empty after them; a variable names the database, so that the published one stays as it is."""
    if not (ROOT / ".git").exists():
        pytest.skip("this is no clone")
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
    start = README.read_text().split("## Start")[1].split("## A study")[0]
    block = start.split("```\n")[-2].splitlines()
    assert [line.split("#")[0].strip() for line in block][:2] == ["pip install -e .", "export ABLATE_DB=my.db"]
    monkeypatch.chdir(clone)
    fill("sqlite:///my.db")  # nothing is left to train
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ABLATE_")}
    environment |= {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(clone)}
    said = subprocess.run(["bash", "-ec", "\n".join(block[1:])], env=environment, capture_output=True, text=True)
    assert said.returncode == 0, said.stderr
    assert "48 of 48 runs done" in said.stderr
    assert (clone / "reports" / "quickstart.html").exists()
    assert subprocess.run(["git", "status", "--porcelain"], capture_output=True, text=True, check=True).stdout == ""
