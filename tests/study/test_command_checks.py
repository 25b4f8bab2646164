"""Doubts about a command before it runs: flags that the script does not take, and syntax that only a shell reads."""

from __future__ import annotations

from pathlib import Path

import pytest
from golden_texts import coded

from ablate.study.loader import load

ARGPARSE = """\
import argparse
import extra
parser = argparse.ArgumentParser()
parser.add_argument("--lr", "-l", type=float, default=0.1)
parser.add_argument("--batch-size", type=int, default=8)
parser.add_argument("--amp", action=argparse.BooleanOptionalAction)
parser.add_argument("--seed", type=int)
extra.add(parser)
args = parser.parse_args()
"""
EXTRA = "def add(parser):\n    parser.add_argument('--extra-depth', type=int)\n"
CLICK = """\
import click
@click.command()
@click.option("--lr", default=0.1)
@click.option("--amp/--no-amp")
@click.option("--seed", type=int)
def main(**given): ...
"""
TYPER = """\
import typer
def main(lr: float = 0.1, amp: bool = False, seed: int = 0): ...
typer.run(main)
"""
HYDRA = """\
import hydra
@hydra.main(config_path="conf", config_name="main", version_base=None)
def main(config): ...
"""


@pytest.fixture
def warned(tmp_path: Path):
    """warned(command, script) -> what `grid check` doubts of the command"""

    def check(command: str, script: str = ARGPARSE, *, more: str = "") -> list[str]:
        (tmp_path / "train.py").write_text(script)
        (tmp_path / "extra.py").write_text(EXTRA)
        path = tmp_path / "s.yaml"
        path.write_text(
            f"study: s\nseeds: 1\nrecipe: {{lr: 1}}\ntrainer:\n  command: {command}\n"
            f"  metrics: {{loss: {{pattern: 'loss (\\S+)'}}}}\n{more}"
        )
        return [text.partition(": ")[2] for text in coded(load(path).warnings)]

    return check


FLAG, SYNTAX = "trainer.command: unknown-flag", "trainer.command: shell-syntax"


@pytest.mark.parametrize(
    ("script", "command"),
    [
        (ARGPARSE, "python train.py --lr {lr} --batch-size=4 --no-amp --extra-depth 3 -l5 --batch 3 -h -- --whatever"),
        (ARGPARSE, "torchrun --standalone --nproc_per_node=2 train.py --lr {lr}"),
        (ARGPARSE, "python -m train --lr {lr} -1"),
        (ARGPARSE, "[env, -C, ., python, train.py, --lr, '{lr}']"),
        (CLICK, "python train.py --lr {lr} --no-amp"),
        (TYPER, "python train.py --lr {lr} --no-amp --seed 3"),
        (ARGPARSE.replace("parse_args", "parse_known_args"), "python train.py --lr {lr} --other 3"),
        (ARGPARSE.replace("extra.add", "elsewhere.fill"), "python train.py --lr {lr} --other 3"),
        ("from transformers import HfArgumentParser\n" + ARGPARSE, "python train.py --lr {lr} --other 3"),
        (
            "for name in names:\n    parser.add_argument(f'--{name}')\n" + ARGPARSE,
            "python train.py --lr {lr} --other 3",
        ),
        (ARGPARSE.replace("argparse.ArgumentParser()", "library.parser()"), "python train.py --lr {lr} --other 3"),
        ("import sys\n", "python train.py --lr {lr}"),
        ("not Python {", "python train.py --lr {lr}"),
        ("import sys\n", "Rscript train.R --lr {lr}"),
    ],
)
def test_what_a_script_takes_or_may_take_is_no_doubt(warned, script: str, command: str) -> None:
    assert [text for text in warned(command, script) if "absent-file" not in text] == []


@pytest.mark.parametrize(
    ("script", "command", "flag"),
    [
        (ARGPARSE, "python train.py --lr {lr} --bathc-size 3", "--bathc-size"),
        (ARGPARSE, "[python, train.py, '--lr={lr}', --extra_depth=3]", "--extra_depth"),
        (ARGPARSE, "python -m train --lr {lr} -q 3", "-q"),
        (CLICK, "python train.py --lr {lr} --se 3", "--se"),
        (TYPER, "python train.py --lr {lr} --no-seed", "--no-seed"),
    ],
)
def test_a_flag_that_the_source_does_not_know(warned, tmp_path: Path, script: str, command: str, flag: str) -> None:
    assert warned(command, script) == [FLAG]
    (warning,) = load(tmp_path / "s.yaml").warnings
    assert f"train.py takes no {flag}." in warning.message


def test_keys_of_hydra_are_those_of_its_configuration(warned, tmp_path: Path) -> None:
    conf = tmp_path / "conf" / "model"
    conf.mkdir(parents=True)
    (conf.parent / "main.yaml").write_text("defaults:\n  - model: small\n  - _self_\nlr: 0.1\noptim: {name: sgd}\n")
    (conf / "small.yaml").write_text("width: 8\n")
    command = "python train.py lr={lr} optim.name=adam model=large model.width=9 +new=1 hydra.run.dir={run_dir}"
    assert warned(command, HYDRA) == []
    assert warned(command + " model.widht=3", HYDRA) == [FLAG]
    (conf.parent / "main.yaml").write_text("defaults: [elsewhere]\nlr: 0.1\n")
    assert warned(command + " model.widht=3", HYDRA) == [], "a part of it is not here"


@pytest.mark.parametrize(
    ("command", "doubts"),
    [
        ("cd src && python train.py --lr {lr}", [SYNTAX]),
        ("OMP_NUM_THREADS=1 python train.py --lr {lr}", [SYNTAX]),
        ("python train.py --lr {lr} | tee log", [SYNTAX]),
        ("python train.py --lr {lr} 2>&1 >log", [SYNTAX]),
        ("python train.py --lr {lr}; python test.py", [SYNTAX]),
        ("python train.py --lr {lr} --seed $SEED", [SYNTAX]),
        ('python train.py --lr {lr} --seed "${{SEED}}"', [SYNTAX]),
        ("[python, train.py, --lr, '{lr}', --seed, $SEED, '>', log]", [SYNTAX]),
        ("cd x && A=1 python train.py --lr {lr} > log", [SYNTAX, SYNTAX]),
        ("env OMP_NUM_THREADS=1 python train.py --lr {lr}", []),
        ("bash -euc 'cd . && python train.py --lr {lr} | tee log'", []),
        ("""python -c "print(1); print('$5')" {lr}""", []),
        ("python train.py --lr {lr} --seed 'a; b' --batch 'x|y' --amp '$5 > 3'", []),
        ("python train.py --lr {lr} --seed 'http://x/?a=1&b=2'", []),
    ],
)  # fmt: skip
def test_syntax_of_a_shell(warned, tmp_path: Path, command: str, doubts: list[str]) -> None:
    quoted = command if command.startswith("[") else '"' + command.replace("\\", "\\\\").replace('"', '\\"') + '"'
    assert [text for text in warned(quoted) if "absent-file" not in text] == doubts


def test_each_names_the_key_to_write(warned, tmp_path: Path) -> None:
    for command, key in (
        ("cd src && x {lr}", "`cwd: src`"),
        ("A=1 x {lr}", "`env: {A: 1}`"),
        ("x {lr} | y", "`shell: bash`"),
    ):
        warned(f'"{command}"')
        assert key in load(tmp_path / "s.yaml").warnings[-1].message


@pytest.mark.parametrize(
    ("words", "doubts"),
    [
        ("torchrun --master_port 29500", 1),
        ("torchrun --master-port=29500", 1),
        ("accelerate launch --main_process_port 29500", 1),
        ("torchrun --rdzv-endpoint=localhost:29400", 1),
        ("torchrun --rdzv-endpoint localhost:0", 0),
        ("torchrun --master_port {port}", 0),
        ("torchrun --standalone", 0),
    ],
)
def test_a_port_that_all_runs_would_open(warned, words: str, doubts: int) -> None:
    found = warned(f"{words} train.py --lr {{lr}}", ARGPARSE)
    assert found.count("trainer.command: same-port") == doubts


def test_a_port_in_the_environment(warned) -> None:
    found = warned("torchrun train.py --lr {lr}\n  env: {MASTER_PORT: 29500}", ARGPARSE)
    assert "trainer.env.MASTER_PORT: same-port" in found
