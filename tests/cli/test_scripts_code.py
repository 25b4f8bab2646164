"""The code of somebody's script, from an edit to the plan, the report and `--retry stale`."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ablate.store.store import Store
from ablate.study.code.provenance import codes_of
from ablate.study.loader import load

SCRIPT = """
import argparse
from model import loss
parser = argparse.ArgumentParser()
for name in ("lr", "seed"):
    parser.add_argument("--" + name, type=float)
given, _ = parser.parse_known_args()
print(f"loss {loss(given.lr) + given.seed / 1000}")
"""
STUDY = """
study: main
recipe: {lr: 0.5}
trainer:
  command: COMMAND --lr {lr} --seed {seed}
  metrics: {bpc: {better: lower, pattern: 'loss (\\S+)'}}
factors: {rate: {path: lr, levels: [0.5, 0.25]}}
seeds: 2
baseline: {rate: 0.5}
tables: {t: {rows: rate, columns: [bpc]}}
"""
MODEL = "def loss(rate):\n    return rate + OFFSET\n"


@pytest.fixture(autouse=True)
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ABLATE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")  # a file edited twice within a second keeps its byte code
    for name in ("VIRTUAL_ENV", "CONDA_PREFIX"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def project(tmp_path: Path) -> Callable[..., Path]:
    """project(name, offset, command): a study of four runs, whose numbers are greater by the offset; its file."""

    def make(name: str, offset: int = 0, command: str = "python train.py", where: str = ".") -> Path:
        folder = tmp_path / name
        (folder / where).mkdir(parents=True)
        (folder / where / "train.py").write_text(SCRIPT)
        (folder / where / "model.py").write_text(MODEL.replace("OFFSET", str(offset)))
        (folder / "s.yaml").write_text(STUDY.replace("COMMAND", command))
        return folder / "s.yaml"

    return make


def means(call: Any, study: Path) -> list[float]:
    rows = call("report", study, "--table", "t", "--format", "json").document["rows"]
    return [row["cells"]["bpc"]["mean"] for row in rows]


def counts(call: Any, study: Path, *more: object) -> tuple[int, int, int]:
    """(done, stale, to run)"""
    found = call("grid", "plan", study, "--json", *more).document["counts"]
    return found["done"], found["stale"], found["to_run"]


A, B = [0.5005, 0.2505], [7.5005, 7.2505]


@pytest.mark.slow
def test_two_projects_with_one_command_share_runs_and_neither_takes_the_others_numbers(
    call: Any, project: Callable[..., Path]
) -> None:
    a, b = project("a"), project("b", 7)
    call("grid", "run", a)
    assert counts(call, a) == (4, 0, 0)
    assert counts(call, b) == (4, 4, 0)
    said = call("grid", "plan", b)
    assert "4 done (4 stale), 0 to run" in said.out
    assert "4 runs stale, trained with different code: model.py changed\n" in said.err
    assert "trainer.version" in said.err
    assert "trainer.watch" in said.err
    run = call("grid", "run", b)  # nothing trains
    assert "model.py changed" in run.err
    assert means(call, b) == pytest.approx(A)
    assert "Stale: 4 of 4 runs were trained by other code of the trainer than the present (model.py changed)" in call(
        "report", b, "--format", "md"
    ).out.replace("\\", "")
    assert "4 runs stale" in call("status", b).err
    call("grid", "run", b, "--retry", "stale")
    assert (means(call, a), means(call, b)) == (pytest.approx(A), pytest.approx(B))
    assert (counts(call, a), counts(call, b)) == ((4, 0, 0), (4, 0, 0))
    for study in (a, b):
        assert "Stale" not in call("report", study, "--format", "md").out
        call("grid", "run", study, "--retry", "stale")  # each is done by each
    assert {len(one["attempts"]) for one in map(_shown(call), _run_ids(a))} == {2}


def _run_ids(study: Path) -> list[str]:
    return [run.run_id for run in load(study).runs]


def _shown(call: Any) -> Callable[[str], dict[str, Any]]:
    def show(run_id: str) -> dict[str, Any]:
        with Store.open(os.environ["ABLATE_DB"], read_only=True) as store:
            return {"attempts": store.results([run_id])[run_id].attempts}

    return show


@pytest.mark.slow
def test_while_one_project_trains_again_and_after_it_failed_the_others_numbers_stand(
    call: Any, project: Callable[..., Path], tmp_path: Path
) -> None:
    a, b, c = project("a"), project("b", 7), project("c", 9)
    call("grid", "run", a)
    looks = tmp_path / "looks"
    (b.parent / "model.py").write_text(
        "import os, subprocess, sys\n"
        "env = dict(os.environ, ABLATE_DB=<DB>)\n"
        "def loss(rate):\n"
        "    subprocess.run([sys.executable, '-m', 'ablate', 'grid', 'plan', STUDY, '--json'], env=env, check=True,\n"
        "                   stdout=open(OUT, 'w'))\n"
        "    subprocess.run([sys.executable, '-m', 'ablate', 'report', STUDY, '--format', 'json'], env=env, check=True,\n"
        "                   stdout=open(OUT + '.report', 'w'))\n"
        "    raise ValueError('no')\n".replace("STUDY", repr(str(a)))
        .replace("OUT", repr(str(looks)))
        .replace("<DB>", repr(os.environ["ABLATE_DB"]))
    )
    call("grid", "run", b, "--retry", "stale", "--limit", 1, code=4)
    seen = json.loads(looks.read_text())["counts"]
    assert (seen["done"], seen["stale"], seen["running"], seen["to_run"]) == (4, 0, 0, 0)
    rows = json.loads((tmp_path / "looks.report").read_text())["rows"]
    assert [row["cells"]["bpc"]["mean"] for row in rows] == pytest.approx(A)
    call("grid", "run", b, code=4)
    assert counts(call, a) == (4, 0, 0)
    assert means(call, a) == pytest.approx(A)
    assert "4 done, 0 to run" in call("grid", "run", a, "--retry", "all").err  # what failed is b's
    assert call("grid", "plan", b, "--json").document["counts"]["failed"] == 4
    assert counts(call, c) == (4, 4, 0)  # neither a's nor b's
    assert means(call, c) == pytest.approx(A)


@pytest.mark.slow
def test_an_imported_module_edited_between_seeds_is_named(call: Any, project: Callable[..., Path]) -> None:
    study = project("a")
    call("grid", "run", study, "--seeds", 1)
    (study.parent / "model.py").write_text(MODEL.replace("OFFSET", "3"))
    call("grid", "run", study)
    assert counts(call, study) == (4, 2, 0)
    text = call("report", study, "--format", "md").out.replace("\\", "")
    assert "Stale: 2 of 4 runs were trained by other code of the trainer than the present (model.py changed)" in text
    call("grid", "run", study, "--retry", "stale")
    assert counts(call, study) == (4, 0, 0)
    assert means(call, study) == pytest.approx([3.5005, 3.2505])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "where", "edited"),
    [
        ("python train.py", ".", "train.py"),
        ("env -C sub python train.py", "sub", "sub/model.py"),
        ("env --chdir=sub X=1 python train.py", "sub", "sub/train.py"),
        ("python -m sub.train", "sub", ""),
        ("[bash, -c, 'cd sub && exec python train.py \"$@\"', bash", "sub", "sub/model.py"),
    ],
)
def test_an_edit_with_all_runs_done_is_named(
    call: Any, project: Callable[..., Path], command: str, where: str, edited: str
) -> None:
    study = project("a", 0, command, where)
    if command.startswith("["):
        study.write_text(study.read_text().replace(" --lr {lr} --seed {seed}", ", --lr, '{lr}', --seed, '{seed}']"))
    if not edited:
        edited = "sub/model.py"
        script = study.parent / "sub" / "train.py"
        script.write_text(SCRIPT.replace("from model", "from sub.model"))
    call("grid", "run", study)
    assert counts(call, study) == (4, 0, 0)
    with (study.parent / edited).open("a") as file:
        file.write("# edited\n")
    assert counts(call, study) == (4, 4, 0)
    assert f": {edited} changed\n" in call("grid", "plan", study).err
    assert f"({edited} changed)" in call("report", study, "--format", "md").out.replace("\\", "")


@pytest.mark.slow
def test_watched_files_are_code_and_no_part_of_identity(call: Any, project: Callable[..., Path]) -> None:
    study = project("a")
    (study.parent / "conf").mkdir()
    (study.parent / "conf" / "base.txt").write_text("1")
    study.write_text(study.read_text().replace("trainer:\n", "trainer:\n  watch: ['conf/**']\n"))
    call("grid", "run", study)
    assert counts(call, study) == (4, 0, 0)
    (study.parent / "conf" / "base.txt").write_text("2")
    assert "conf/base.txt changed" in call("grid", "plan", study).err
    (study.parent / "conf" / "base.txt").unlink()
    said = call("grid", "plan", study)
    assert "conf/base.txt is gone" in said.err
    assert "trainer.watch: 'conf/**' matches no file in " in said.out
    (study.parent / "conf" / "base.txt").write_text("1")
    (study.parent / "conf" / "more.txt").write_text("1")
    assert ": conf/more.txt is new\n" in call("grid", "plan", study).err
    study.write_text(study.read_text().replace("  watch: ['conf/**']\n", ""))
    assert counts(call, study) == (4, 4, 0)
    assert "conf/base.txt is gone" in call("grid", "plan", study).err


@pytest.mark.slow
def test_a_settings_file_of_one_arm_ages_that_arm_alone(call: Any, project: Callable[..., Path]) -> None:
    study = project("a", 0, "python train.py -c conf/{lr}.yaml")
    (study.parent / "conf").mkdir()
    for rate in ("0.5", "0.25"):
        (study.parent / "conf" / f"{rate}.yaml").write_text(rate)
    call("grid", "run", study)
    (study.parent / "conf" / "0.25.yaml").write_text("edited")
    assert counts(call, study) == (4, 2, 0)
    assert "2 runs stale, trained with different code: conf/0.25.yaml changed\n" in call("grid", "plan", study).err


@pytest.mark.slow
def test_where_the_script_is_not_nobody_can_tell(call: Any, project: Callable[..., Path]) -> None:
    study = project("a")
    call("grid", "run", study)
    (study.parent / "train.py").unlink()
    assert counts(call, study) == (4, 0, 0)
    said = call("grid", "plan", study).err
    planned = call("grid", "plan", study, "--json").document["runs"]
    assert {(run["stale"], run["code_known"]) for run in planned} == {(False, False)}
    assert "4 done runs may be stale: the script is not in the study's folder" in said
    text = call("report", study, "--format", "md").out
    assert "Stale: not known of 4 of 4 runs: the script that trained them is not where the study lies" in text
    refused = call("grid", "run", study, "--retry", "stale", code=2).err
    assert "--retry stale needs the present code" in refused
    assert counts(call, study) == (4, 0, 0)


@pytest.mark.slow
def test_a_screen_counts_stale_runs_in_one_line(call: Any, project: Callable[..., Path]) -> None:
    study = project("a")
    call("grid", "run", study)
    with (study.parent / "train.py").open("a") as script:
        script.write("# edited\n")
    assert call("status", study).out.splitlines()[0].endswith(": 4 of 4 runs done (4 stale)")


@pytest.mark.slow
def test_rows_of_before_scripts_had_a_digest(call: Any, project: Callable[..., Path]) -> None:
    study = project("a")
    call("grid", "run", study)
    file = os.environ["ABLATE_DB"].removeprefix("sqlite:///")

    def rewrite(pattern: bool) -> None:
        with sqlite3.connect(file) as database:
            for run, number, text in database.execute("SELECT run, number, environment FROM attempts").fetchall():
                noted = json.loads(text)
                noted = {key: value for key, value in noted.items() if key not in ("code", "reader")}
                noted |= {"code": "trainer:1", "files": {"train.py": noted["files"]["train.py"]}}
                noted["trainer"]["metrics"] = {"bpc": "loss (.*)" if pattern else None}
                new = (json.dumps(noted), "trainer:1", run, number)
                database.execute("UPDATE attempts SET environment = ?, code = ? WHERE run = ? AND number = ?", new)

    rewrite(pattern=False)
    assert counts(call, study) == (4, 0, 0)
    (study.parent / "model.py").write_text(MODEL.replace("OFFSET", "1"))  # of it nothing was recorded
    assert counts(call, study) == (4, 0, 0)
    rewrite(pattern=True)
    assert counts(call, study) == (4, 4, 0)
    assert ": its numbers were read by an older ablate\n" in call("grid", "plan", study).err
    rewrite(pattern=False)
    (study.parent / "train.py").write_text(SCRIPT + "# edited\n")
    assert ": train.py changed\n" in call("grid", "plan", study).err


CHECKPOINTS = """
import os, sys
place = os.path.join(sys.argv[1], "checkpoint")
if not os.path.exists(place):
    open(place, "w").write("VERSION")
    sys.exit(3)
print(f"loss {open(place).read()}")
"""


@pytest.mark.slow
def test_a_script_never_meets_a_checkpoint_of_other_code(
    call: Any, project: Callable[..., Path], tmp_path: Path
) -> None:
    study = project("a")
    study.write_text(study.read_text().replace("train.py --lr {lr} --seed {seed}", "train.py {run_dir} {lr} {seed}"))
    script = study.parent / "train.py"
    script.write_text(CHECKPOINTS.replace("VERSION", "1"))
    call("grid", "run", study, code=4)
    script.write_text(CHECKPOINTS.replace("VERSION", "2"))
    call("grid", "run", study, "--retry", "failed", code=4)  # not resumed from the first one's
    call("grid", "run", study, "--retry", "failed")
    assert means(call, study) == pytest.approx([2, 2])
    script.write_text(CHECKPOINTS.replace("VERSION", "1"))
    call("grid", "run", study, "--retry", "stale")  # goes on where it was
    assert means(call, study) == pytest.approx([1, 1])
    folders = [sorted(path.name for path in run.glob("code-*")) for run in (tmp_path / "home" / "runs").glob("*/*")]
    assert [len(names) for names in folders] == [2, 2, 2, 2]
    digests = {code.digest[:12] for code in codes_of(load(study)).values()}
    assert {name for names in folders for name in names} > {f"code-{digest}" for digest in digests}
    assert call("clean", "--json").document["items"] == []
    run = load(study).runs[0].run_id
    assert "loss 1" in call("runs", "show", run[:12]).out


FUNCTION = """
from pkg.net import SCORE
def train(recipe, *, seed, run_dir, report):
    (run_dir / "was here").write_text("")
    return {"score": SCORE + seed / 1000}
"""


@pytest.mark.slow
def test_a_python_trainer_has_the_code_of_its_module(call: Any, tmp_path: Path) -> None:
    folder = tmp_path / "fun"
    (folder / "pkg").mkdir(parents=True)
    (folder / "pkg" / "net.py").write_text("SCORE = 1")
    (folder / "pkg" / "fit_me.py").write_text(FUNCTION)
    study = folder / "s.yaml"
    study.write_text(
        "study: fun\nrecipe: {x: 1}\ntrainer: {python: 'pkg.fit_me:train', metrics: {score: {better: higher}}}\n"
        "factors: {f: {path: x, levels: [1, 2]}}\nseeds: 2\nbaseline: {f: 1}\ntables: {t: {rows: f, columns: [score]}}\n"
    )
    call("grid", "run", study)
    assert counts(call, study) == (4, 0, 0)
    (folder / "pkg" / "net.py").write_text("SCORE = 2")
    assert counts(call, study) == (4, 4, 0)
    assert ": pkg/net.py changed\n" in call("grid", "plan", study).err
    call("grid", "run", study, "--retry", "stale")
    rows = call("report", study, "--table", "t", "--format", "json").document["rows"]
    assert [row["cells"]["score"]["mean"] for row in rows] == pytest.approx([2.0005, 2.0005])
    assert counts(call, study) == (4, 0, 0)
