"""The front door: what it imports, what it says, how it leaves."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

COMMANDS = (
    "init", "grid plan", "grid check", "grid run", "grid schema", "status", "runs list", "runs show", "runs logs", "runs diff", "runs cancel", "runs verify",
    "report", "tune run", "tune report", "tune export", "predict", "data list", "data fetch", "data verify", "db info", "db check", "db upgrade", "db backup", "db restore",
    "db export", "db import", "watch", "clean", "doctor", "worker",
)  # fmt: skip
HEAVY = ("torch", "torchvision", "plotly", "optuna", "pandas", "scipy", "statsmodels")

PROBE = """
import json, sys
sys.argv = ["ablate", *{args!r}]
from ablate.cli.app import main
try:
    main()
except SystemExit:
    pass
print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""


def _modules(*args: str) -> set[str]:
    done = subprocess.run([sys.executable, "-c", PROBE.format(args=args)], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in json.loads(done.stderr.splitlines()[-1])}


def test_help_imports_nothing_heavy() -> None:
    assert not _modules("--help") & {*HEAVY, "sqlalchemy", "alembic", "numpy", "pydantic"}


@pytest.mark.slow
def test_plan_imports_nothing_heavy(tiny: Path) -> None:
    loaded = _modules("grid", "plan", str(tiny))
    assert "pydantic" in loaded
    assert not loaded & set(HEAVY)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(cli, command: str) -> None:
    shown = cli(*command.split(), "--help").stdout
    assert len(shown.splitlines()[2].strip()) > 20, "the first line says what the command does"


@pytest.mark.parametrize("group", ["", "grid", "runs", "tune", "data", "db"])
def test_lists_of_commands_are_not_cut_off_at_80_columns(cli, group: str) -> None:
    shown = cli(*group.split(), "--help").stdout.partition("Commands:")[2]
    assert shown.strip()
    assert "..." not in shown


def test_no_command_is_missing_from_the_list() -> None:
    import typer

    from ablate.cli.app import app

    found = set()
    for group in app.registered_groups:
        for command in group.typer_instance.registered_commands:
            found.add(f"{group.name} {(command.name or command.callback.__name__).rstrip('_')}")
    found |= {command.name for command in app.registered_commands}
    assert isinstance(app, typer.Typer)
    assert found == set(COMMANDS)


@pytest.mark.slow
def test_wrong_usage_leaves_with_2(cli) -> None:
    assert "No such option" in cli("grid", "plan", "x.yaml", "--nonsense", code=2).stderr
    assert "seeds 'x': must be a number of seeds" in cli("grid", "plan", "x.yaml", "--seeds", "x", code=2).stderr


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("run x.yaml", ["grid run"]), ("plan", ["grid plan"]), ("tables", ["report"]), ("grid plam", ["grid plan"]),
        ("grid report", ["report"]), ("run list", ["runs list"]), ("data ls", ["data list"]), ("tune plan", ["grid plan"]),
        ("rnus show", ["runs show"]), ("stat", ["status"]), ("export", ["tune export", "db export"]), ("x.yaml", ["grid run x.yaml"]),
        ("qqqqq", []),
    ],
)  # fmt: skip
def test_a_wrong_command_gets_the_likely_one(call, typed: str, meant: list[str]) -> None:
    said = call(*typed.split(), code=2).err
    wrong = typed.split()[1] if typed.split()[0] in ("grid", "data", "tune") else typed.split()[0]
    error = f"Error: No such command '{wrong}'."
    shown = " or ".join(f"`ablate {path}`" for path in meant)
    assert said.splitlines()[-1] == (f"{error} Did you mean {shown}?" if meant else error)


@pytest.mark.parametrize("command", ["", "grid", "grid run", "runs list", "report"])
def test_h_is_help(call, command: str) -> None:
    assert call(*command.split(), "-h").out == call(*command.split(), "--help").out != ""


@pytest.mark.slow
def test_unknown_study_leaves_with_5(cli) -> None:
    said = cli("grid", "plan", "nothing.yaml", code=5).stderr
    assert "nothing.yaml: no such study file, neither here nor in experiments/." in said


def test_version(cli) -> None:
    assert cli("--version").stdout == "ablate 0.1.0\n"
