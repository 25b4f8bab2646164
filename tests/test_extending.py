"""docs/extending.md is true: its files make parts that plan, train and report, as a package of its own and dropped into our folders."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "extending.md"
FOLDERS = {
    "confidence_penalty": "parts/refinements",
    "tiny_cnn": "parts/networks",
    "polite": "dispatch/engines",
    "lines": "report/formats",
}
Ablate = Callable[..., subprocess.CompletedProcess[str]]


def blocks() -> dict[str, str]:
    """The page's files, by the name in their first line."""
    found = re.findall(r"^```\w+\n# ([\w./]+)\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    return dict(found)


def commands() -> list[str]:
    (block,) = re.findall(r"^```\n(ablate .*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    return block.splitlines()


def a_package(folder: Path) -> Path:
    """The page's package as it would be installed: its modules, and what an installer writes of its entry points."""
    files = blocks()
    told = folder / "my_ablation-1.0.dist-info"
    (folder / "my_ablation").mkdir()
    (folder / "my_ablation" / "__init__.py").touch()
    for name, text in files.items():
        if name.startswith("my_ablation/"):
            (folder / name).write_text(text)
    told.mkdir()
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: my-ablation\nVersion: 1.0\n")
    groups = tomllib.loads(files["pyproject.toml"])["project"]["entry-points"]
    lines = [line for group, entries in groups.items() for line in (f"[{group}]", *(f"{key} = {value}" for key, value in entries.items()))]  # fmt: skip
    (told / "entry_points.txt").write_text("\n".join(lines))
    return folder


def dropped_in(folder: Path) -> Path:
    """A copy of ablate with each file in its folder."""
    shutil.copytree(ROOT / "ablate", folder / "ablate", ignore=shutil.ignore_patterns("__pycache__"))
    files = blocks()
    for name, place in FOLDERS.items():
        (folder / "ablate" / place / f"{name}.py").write_text(files[f"my_ablation/{name}.py"])
    return folder


def without_the_parts(*args: str) -> subprocess.CompletedProcess[str]:
    """`ablate ARGS...` as it is without the page's parts."""
    return subprocess.run([sys.executable, "-m", "ablate", *args], cwd=ROOT, capture_output=True, text=True, check=True)


@pytest.fixture(params=[a_package, dropped_in])
def extended(request: pytest.FixtureRequest, tmp_path: Path) -> Ablate:
    """Runs `ablate ARGS...` with the page's parts, beside its study."""
    code = tmp_path / "code"
    code.mkdir()
    paths = [str(request.param(code)), str(ROOT)]
    work = tmp_path / "work"
    work.mkdir()
    (work / "study.yaml").write_text(blocks()["study.yaml"])
    environment = {
        **os.environ, "PYTHONPATH": os.pathsep.join(paths), "ABLATE_HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1"
    }  # fmt: skip

    def run(*args: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "ablate", *args]
        return subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, check=False)

    return run


@pytest.mark.slow
def test_the_pages_commands_plan_train_and_report(extended: Ablate) -> None:
    plan, run, report = (extended(*shlex.split(line)[1:]) for line in commands())
    assert plan.returncode == 0, plan.stderr
    assert "2 runs" in plan.stdout
    assert run.returncode == 0, run.stderr
    assert re.fullmatch(r"effect none top1 0\.\d{4} n=1\neffect some top1 0\.\d{4} n=1\n", report.stdout), report.stderr
    shown = extended("runs", "list", "--json").stdout
    assert shown.count('"done"') == 2


@pytest.mark.slow
def test_the_plan_of_a_published_study_stays_as_it_is(extended: Ablate, tmp_path: Path) -> None:
    database = shutil.copy(ROOT / "results.db", tmp_path)
    study = str(ROOT / "experiments" / "refinements.yaml")
    words = ("grid", "plan", study, "--profile", "cpu", "--db", str(database), "--json")
    before, after = json.loads(without_the_parts(*words).stdout), json.loads(extended(*words).stdout)
    assert before["counts"]["done"] == 84
    assert after == before


@pytest.mark.slow
def test_the_arm_without_the_method_has_the_id_from_before_it(extended: Ablate, tmp_path: Path) -> None:
    with_it = blocks()["study.yaml"].replace("arch: tiny-cnn", "arch: resnet18")
    before_it = with_it.replace("confidence_penalty.beta", "mixup.alpha")
    (tmp_path / "with.yaml").write_text(with_it)
    (tmp_path / "before.yaml").write_text(before_it)
    told = extended("grid", "plan", str(tmp_path / "with.yaml"), "--db", str(tmp_path / "a.db"), "--json")
    plain = without_the_parts("grid", "plan", str(tmp_path / "before.yaml"), "--db", str(tmp_path / "b.db"), "--json")
    after, before = ({run["arm"]: run["run_id"] for run in json.loads(plan.stdout)["runs"]} for plan in (told, plain))
    assert after["none"] == before["none"]
    assert after["some"] != before["some"]


@pytest.mark.slow
def test_the_commands_know_the_names_and_refuse_what_cannot_be_meant(extended: Ablate) -> None:
    told = extended("grid", "run", "--help").stdout
    assert "polite" in told
    assert "--polite KEY=VALUE" in told
    said = extended("grid", "run", "study.yaml", "--executor", "polite", "--polite", "level=20")
    assert said.returncode == 2
    assert "--polite level=20: level must be a whole number from 0 to 19; it is by how much priority is lowered (10)." in said.stderr  # fmt: skip
    assert "--polite level=1: needs --executor polite, not local." in extended("grid", "run", "study.yaml", "--polite", "level=1").stderr  # fmt: skip
    assert "must be one of csv, html, json, latex, lines, md, text." in extended("report", "--format", "line").stderr
    wrong = extended("grid", "check", "study.yaml", "--set", "confidence_penalty.beta=-1")
    assert wrong.returncode == 3, wrong.stdout


def test_the_penalty_is_the_papers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Logits (0, ln 3) are probabilities 1/4 and 3/4: an entropy of 0.5623 nats."""
    import math

    import torch

    monkeypatch.syspath_prepend(str(a_package(tmp_path)))
    from my_ablation.confidence_penalty import ConfidencePenalty  # type: ignore[import-not-found]

    logits = torch.tensor([[0.0, math.log(3.0)]])
    loss = ConfidencePenalty(0.5).loss(torch.tensor(1.0), logits, torch.empty(0))
    entropy = math.log(4.0) - 0.75 * math.log(3.0)
    assert loss.item() == pytest.approx(1.0 - 0.5 * entropy, abs=1e-6)


def test_every_folder_of_the_page_is_there_and_holds_what_the_page_says() -> None:
    rows = re.findall(
        r"^\| (?:a|an) .*? \| `(ablate/[\w/]+/)` \| `(\w+) = (\w+)\(\.\.\.\)` \|", PAGE.read_text(), re.MULTILINE
    )
    assert len(rows) == 9
    for folder, name, kind in rows:
        texts = [path.read_text() for path in (ROOT / folder).glob("*.py")]
        assert any(re.search(rf"^{name}S? = .*{kind}\(", text, re.MULTILINE | re.DOTALL) for text in texts), folder


@pytest.mark.slow
def test_a_part_of_another_package_that_cannot_be_is_left_out_and_told(tmp_path: Path) -> None:
    code = a_package(tmp_path)
    method = code / "my_ablation" / "confidence_penalty.py"
    text = method.read_text()
    assert text.count(", before=0.0") == 1
    method.write_text(text.replace(", before=0.0", ""))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(code), str(ROOT)]), "ABLATE_HOME": str(tmp_path)}

    def run(*args: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "ablate", *args, "--db", str(tmp_path / "none.db")]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)

    plan = run("grid", "plan", str(ROOT / "experiments" / "quickstart.yaml"))
    assert plan.returncode == 0, plan.stderr
    told = " ".join(run("doctor").stdout.split())
    assert "'confidence_penalty' of my_ablation.confidence_penalty can't be used: " in told
    assert "needs before=0.0, its default" in told
