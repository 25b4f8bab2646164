"""What a shell completes, by the protocol of the shell: names of the project and of its database, never an error."""

from __future__ import annotations

import hashlib
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from ablate.store.store import Store
from ablate.study.values.metrics import METRICS


@pytest.fixture
def tab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]):
    """`tab("ablate report ")`: what a key after these words offers, in this process; stderr must stay empty."""
    from ablate.cli import app

    def press(line: str) -> list[str]:
        words = shlex.split(line)
        place = len(words) if line.endswith(" ") else len(words) - 1
        environment = {"_ABLATE_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(place)}
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["ablate"])
        monkeypatch.setattr(sys.modules["__main__"], "__package__", None)  # else the program is `python -m pytest`
        monkeypatch.chdir(tmp_path)
        capfd.readouterr()
        with pytest.raises(SystemExit) as left:
            app.main()
        said = capfd.readouterr()
        assert left.value.code in (0, None)
        assert said.err == ""
        return said.out.split("\n")[:-1] if said.out.strip() else []

    return press


def contents(folder: Path) -> dict[str, str]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.slow
def test_names_of_the_database_and_of_the_folder(tab, tiny: Path, fill, tmp_path: Path) -> None:
    fill(tiny)
    (tmp_path / "tune.yaml").write_text("study: tiny.yaml\nspace: {}\n")
    (tmp_path / "other.yaml").write_text("nothing: of ours\n")
    (tmp_path / "experiments" / "paper").mkdir(parents=True)
    (tmp_path / "experiments" / "paper" / "paper.yaml").write_text(tiny.read_text().replace("study: tiny", "study: paper"))  # fmt: skip
    with Store.open(os.environ["ABLATE_DB"], read_only=True) as store:
        ids = {result.run.run_id[:12] for result in store.list_runs()}
    before = contents(tmp_path)
    files = ["tiny.yaml", "experiments/paper/paper.yaml"]
    for command in ("report", "status", "watch", "runs verify", "init --from"):
        assert tab(f"ablate {command} ") == ["tiny", *files], command
    for command in ("grid plan", "grid run", "grid check"):
        assert tab(f"ablate {command} ") == files, command
    assert tab("ablate grid run exp") == [files[1]]
    assert tab("ablate grid run experiments/") == ["experiments/paper/"]
    assert tab("ablate grid run experiments/paper/p") == [files[1]]
    assert tab("ablate tune run ") == ["tune.yaml"]
    assert tab("ablate runs list --study ") == tab("ablate worker --study ") == ["tiny"]
    assert tab("ablate runs list --arm ") == tab("ablate runs list --study tiny --arm ") == ["plain", "smooth"]
    assert tab("ablate runs list --study other --arm ") == []
    assert tab("ablate runs list --sort t") == ["tries", "time", *(name for name in METRICS if name.startswith("t"))]
    assert tab("ablate report --table ") == tab("ablate report tiny --table ") == ["top1_top5", "curve"]
    assert tab("ablate report experiments/paper/paper.yaml --table c") == ["curve"]
    assert tab("ablate report --format m") == ["md"]
    assert set(tab("ablate runs show ")) == set(tab("ablate runs cancel ")) == ids
    one = min(ids)
    assert tab(f"ablate runs diff {one} {one[:11]}") == tab(f"ablate predict {one[:11]}") == [one]
    assert tab("ablate runs list --state fa") == ["failed"]
    assert contents(tmp_path) == before


@pytest.mark.parametrize("broken", ["nothing", "text", "folder"])
def test_nothing_is_offered_where_nothing_can_be_read(tab, tmp_path: Path, broken: str) -> None:
    if broken == "text":
        (tmp_path / "results.db").write_text("no database")
    elif broken == "folder":
        (tmp_path / "results.db").mkdir()
    before = sorted(tmp_path.rglob("*"))
    for line in ("report ", "report --table ", "report nothing.yaml --table ", "runs show ", "runs list --study ", "grid run no/"):  # fmt: skip
        assert tab(f"ablate {line}") == [], line
    assert sorted(tmp_path.rglob("*")) == before


def test_another_database_is_read_where_it_stands_in_the_line(tab, tiny: Path, fill, tmp_path: Path) -> None:
    fill(tiny)
    (tmp_path / "results.db").rename(tmp_path / "moved.db")
    tiny.unlink()
    assert tab("ablate status ") == []
    assert tab(f"ablate status --db {tmp_path}/moved.db ") == ["tiny"]


@pytest.mark.slow
def test_bash_itself_completes(tiny: Path, fill, tmp_path: Path) -> None:
    """The script that `--show-completion` prints, sourced by bash."""
    fill(tiny)
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "ablate"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -c "import sys; sys.argv[0] = \'ablate\'; from ablate.cli.app import main; main()" "$@"\n')  # fmt: skip
    program.chmod(0o755)
    environment = {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}"}
    script = 'eval "$(ablate --show-completion bash)"; COMP_WORDS=(ablate report ti); COMP_CWORD=2; _ablate_completion ablate; echo "${COMPREPLY[@]}"'  # fmt: skip
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False)  # fmt: skip
    assert done.stdout.split() == ["tiny", "tiny.yaml"], done.stderr
