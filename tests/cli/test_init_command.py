"""`ablate init --command`: a study of somebody's script, from what its source says of itself."""

from __future__ import annotations

import textwrap
import time
from pathlib import Path

import pytest
import yaml

from ablate.project.asking import ask_help
from ablate.study.code.options import UNKNOWN, Option, help_options, read_options
from ablate.study.code.printed import read_printed
from ablate.study.loader import load

SCRIPTS = {
    "argparse": """
        import argparse, random
        def options():
            parser = argparse.ArgumentParser()
            group = parser.add_argument_group("training")
            group.add_argument("--lr", "-l", type=float, default=1e-2, help="rate")
            group.add_argument("--opt", choices=["sgd", "adam"], default="sgd")
            parser.add_argument("--epochs", type=int, default=2)
            parser.add_argument("--nesterov", action="store_true")
            parser.add_argument("--bias", action=argparse.BooleanOptionalAction, default=True)
            parser.add_argument("--workers", type=int, default=4)
            parser.add_argument("--out-dir", default="results")
            parser.add_argument("--seed", type=int, default=1)
            return parser.parse_args()
        given = options()
        random.seed(given.seed)
        for epoch in range(1, given.epochs + 1):
            loss = given.lr * 10 / epoch + random.random() + given.bias - given.nesterov
            print(f"epoch {epoch}/{given.epochs} | train loss {loss + 1:.4f} | val loss {loss:.4f} | val acc {10 / loss:.2f}%")
        open(given.out_dir + "/done.txt", "w").close()
        """,
    "click": """
        import json, random
        import click
        @click.command()
        @click.option("--lr", default=0.1)
        @click.option("--layers", "-n", type=int, default=2)
        @click.option("--norm/--no-norm", default=False)
        @click.option("--random-seed", type=int, default=0)
        @click.option("--save", type=str, default="model.txt")
        def main(lr, layers, norm, random_seed, save):
            random.seed(random_seed)
            print(json.dumps({"split": "test", "loss": lr * layers + random.random() - norm}))
            open(save, "w").close()
        main()
        """,
    "typer": """
        import random
        from typing import Annotated
        import typer
        app = typer.Typer()
        @app.command()
        def main(lr: float = 0.1, dropout: Annotated[float, typer.Option("--drop")] = 0.5, seed: int = 0, quiet: bool = False):
            random.seed(seed)
            print("final accuracy: %.3f" % (lr + dropout * random.random()))
        app()
        """,
    "yaml": """
        import argparse, random, yaml
        parser = argparse.ArgumentParser()
        parser.add_argument("-c", "--config", default="base.yaml")
        config = yaml.safe_load(open(parser.parse_args().config))
        random.seed(config["trainer"]["seed"])
        print("val_loss:", config["optim"]["lr"] * config["model"]["dim"] + random.random())
        open(config["out_dir"] + "/done.txt", "w").close()
        """,
}
BASE = (
    "trainer: {seed: 3, max_epochs: 2}\noptim: {name: sgd, lr: 0.001}\nmodel: {dim: 8, bias: true}\nout_dir: results\n"
)
RECIPES = {
    "argparse": {"lr": 0.01, "opt": "sgd", "epochs": 2, "nesterov": False, "bias": True},
    "click": {"lr": 0.1, "layers": 2, "norm": False},
    "typer": {"lr": 0.1, "dropout": 0.5},
    "yaml": {"trainer": {"max_epochs": 2}, "optim": {"name": "sgd", "lr": 0.001}, "model": {"dim": 8, "bias": True}},
}
METRICS = {
    "argparse": {"val_loss", "val_acc", "train_loss"},
    "click": {"loss"},
    "typer": {"accuracy"},
    "yaml": {"val_loss"},
}


@pytest.fixture
def script(tmp_path: Path):
    """script(text, name="train.py") writes a script"""

    def write(text: str, name: str = "train.py") -> Path:
        path = tmp_path / name
        path.write_text(textwrap.dedent(text))
        return path

    return write


@pytest.mark.slow
@pytest.mark.parametrize("kind", SCRIPTS)
def test_the_study_runs_as_it_is_written(call, script, tmp_path: Path, kind: str) -> None:
    script(SCRIPTS[kind])
    (tmp_path / "base.yaml").write_text(BASE)
    said = call("init", "--command", "python train.py").told()
    assert said.out == "study.yaml\n"
    study = load(tmp_path / "study.yaml")
    assert [str(warning) for warning in study.warnings] == []
    text = (tmp_path / "study.yaml").read_text()
    assert yaml.safe_load(text)["recipe"] == RECIPES[kind]
    assert set(study.trainer["metrics"]) == METRICS[kind]
    assert len(study.arms) == 2
    assert len(study.seeds) == 3
    run = call("grid", "run", "study.yaml", "--limit", "2", "--executor", "inline", "--threads", "1", code=None)
    assert "2 done" in run.err + run.out + call("grid", "plan", "study.yaml").out
    assert not (tmp_path / "results").exists(), "what it writes is in the run's folder"
    assert not (tmp_path / "model.txt").exists()


def test_what_the_command_gives_is_kept(call, script, tmp_path: Path) -> None:
    script(SCRIPTS["argparse"])
    call("init", "--command", "python -u train.py --lr=0.3 --no-bias --opt adam --seed 4 --workers 2 --out-dir here")
    study = load(tmp_path / "study.yaml")
    assert yaml.safe_load(study.source)["recipe"] == {"lr": 0.3, "bias": False, "opt": "adam", "workers": 2, "epochs": 2, "nesterov": False}  # fmt: skip
    words = study.runs[0].trainer["command"]
    assert words[:3] == ["python", "-u", "train.py"]
    assert [words[words.index(flag) + 1] for flag in ("--lr", "--opt", "--workers", "--seed", "--out-dir")] == ["0.3", "adam", "2", "{seed}", "{run_dir}"]  # fmt: skip
    assert "--no-bias" in words


def test_hydra_gives_its_configuration(call, script, tmp_path: Path) -> None:
    script('import hydra\n@hydra.main(version_base=None, config_path="conf", config_name="main")\ndef main(cfg):\n    print("test loss", cfg.lr)\n')  # fmt: skip
    for name, text in {
        "main.yaml": "defaults: [_self_, {model: small}, {override hydra/launcher: basic}]\nseed: 0\noptim: {lr: 0.1, name: sgd}\n",
        "model/small.yaml": "dim: 8\nnorm: true\n",
        "model/large.yaml": "dim: 64\n",
    }.items():
        (tmp_path / "conf" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "conf" / name).write_text(text)
    call("init", "--command", "python train.py optim.lr=0.3 +trainer.fast=true")
    study = load(tmp_path / "study.yaml")
    assert [str(warning) for warning in study.warnings] == []
    words = study.runs[0].trainer["command"]
    assert words[:4] == ["python", "train.py", "optim.lr=0.3", "+trainer.fast=true"]
    assert {"seed={seed}", "model.dim=8", "optim.name=sgd", "hydra.run.dir={run_dir}"} <= set(words)


def test_a_program_that_says_nothing_of_itself(call, script, tmp_path: Path) -> None:
    script("cat('loss 1')\n", "train.R")
    said = call("init", "--command", "Rscript train.R --lr 0.1 --seed 3 --name 'two words'").told()
    assert "one is guessed" in said.err
    study = load(tmp_path / "study.yaml")
    assert study.runs[0].trainer["command"] == ["Rscript", "train.R", "--lr", "0.1", "--seed", "{seed}", "--name", "two words"]  # fmt: skip
    assert "GUESSED" in study.source
    call("init", "made", "--command", "make train LR=0.1 SEED=3 OUT=x")
    assert load(tmp_path / "made.yaml").runs[0].trainer["command"] == [
        "make",
        "train",
        "LR=0.1",
        "SEED={seed}",
        "OUT=x",
    ]
    script("print('loss', 1)\n")
    call("init", "wide", "--command", "torchrun --nproc_per_node 2 train.py")
    assert "# resources: {gpus: 2} " in (tmp_path / "wide.yaml").read_text()


def test_a_script_without_a_seed_gets_one_run_an_arm(call, script, tmp_path: Path) -> None:
    script("import argparse\np = argparse.ArgumentParser()\np.add_argument('--lr', type=float, default=1.0)\np.add_argument('data')\nprint('loss', 1)\n")  # fmt: skip
    said = call("init", "--command", "python train.py").told()
    assert "FILL_IN" in said.err
    study = load(tmp_path / "study.yaml")
    assert study.seeds == (0,)
    assert study.runs[0].trainer["command"] == ["python", "train.py", "FILL_IN", "--lr", "1.0"]


HIDDEN = """
    import argparse, os, pathlib
    class HfArgumentParser(argparse.ArgumentParser): ...
    def made():
        parser = HfArgumentParser(formatter_class=argparse.ArgumentDefaultsHelpFormatter)
        for name in ("learning_rate", "weight_decay"):
            parser.add_argument(f"--{name}", type=float, default=0.5, help="of training")
        parser.add_argument("--seed", type=int, default=0, help="of chance")
        return parser
"""


def test_help_is_asked_for_where_the_source_does_not_say(call, script, tmp_path: Path) -> None:
    script(HIDDEN, "hidden.py")
    script("import os\nfrom hidden import HfArgumentParser, made\ngiven = made().parse_args()\nopen('trained', 'w')\nprint('loss', given.seed)\n")  # fmt: skip
    call("init", "--command", "python train.py").told()
    assert yaml.safe_load((tmp_path / "study.yaml").read_text())["recipe"] == {"learning_rate": 0.5, "weight_decay": 0.5}  # fmt: skip
    assert not (tmp_path / "trained").exists()


def test_a_script_without_a_parser_is_never_run_unless_asked(call, script, tmp_path: Path) -> None:
    script(
        f"import pathlib, sys\npathlib.Path({str(tmp_path / 'ran')!r}).write_text(str(pathlib.Path.cwd()))\nprint('loss', 1)\n"
    )
    call("init", "--command", "python train.py")
    assert not (tmp_path / "ran").exists()
    call("init", "other.yaml", "--command", "python train.py", "--ask")
    assert Path((tmp_path / "ran").read_text()).name.startswith("ablate-help-")
    assert not Path((tmp_path / "ran").read_text()).exists()


@pytest.mark.slow
def test_help_that_does_not_end_is_ended(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text("import time\nprint('--lr', flush=True)\ntime.sleep(60)\n")
    began = time.monotonic()
    assert ask_help(["python", "slow.py"], "slow.py", tmp_path, patience=1.0) is None
    assert time.monotonic() - began < 30


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        (["--command", "python absent.py"], 5, "absent-script"),
        (["--command", "python 'train.py"], 2, "usage"),
        (["--command", " "], 2, "usage"),
        (["--ask"], 2, "usage"),
        (["--command", "python train.py", "--from", "x"], 2, "usage"),
    ],
)
def test_what_cannot_be_drafted_writes_nothing(call, script, tmp_path: Path, words: list[str], code: int, error: str) -> None:  # fmt: skip
    script("print(1)\n")
    call("init", *words, code=code).told(error)
    assert not (tmp_path / "study.yaml").exists()


HELP = """\
usage: train.py [-h] [--lr LR] [--opt {sgd,adam}]

options:
  -h, --help            show this help message and exit
  --lr LR, -l LR        the rate (default: 0.1)
  --opt {sgd,adam}      which (default: sgd)
  --a-very-long-name A_VERY_LONG_NAME
                        wrapped (default: 3)
  --amp, --no-amp       mixed (default: False)
  --fast                no default here
  --name NAME           (default: None)
"""
BOXED = """\
 Usage: train.py [OPTIONS]
╭─ Options ──────────────────────────────────────────────╮
│ --lr        FLOAT           the rate [default: 0.1]    │
│ --opt       [sgd|adam]      [default: adam]            │
│ --help                      Show this message and exit.│
╰────────────────────────────────────────────────────────╯
"""


def test_a_help_text_is_read() -> None:
    assert help_options(HELP) == (
        Option("lr", ("--lr", "-l"), "number", 0.1),
        Option("opt", ("--opt",), "text", "sgd", ("sgd", "adam")),
        Option("a_very_long_name", ("--a-very-long-name",), "whole", 3),
        Option("amp", ("--amp",), "switch", False, off="--no-amp"),
        Option("fast", ("--fast",), "switch", False),
        Option("name", ("--name",), "text", None),
    )
    assert help_options(BOXED) == (
        Option("lr", ("--lr",), "number", 0.1),
        Option("opt", ("--opt",), "text", "adam", ("sgd", "adam")),
    )
    assert help_options("no options") == ()


def test_defaults_that_are_worked_out_are_unknown() -> None:
    (lr, size, path) = read_options(
        [
            "import argparse\nSIZE = 8\nPATHS = [1]\np = argparse.ArgumentParser()\np.add_argument('--lr', default=rate())\n"
            "p.add_argument('--size', default=SIZE)\np.add_argument('--path', default=PATHS[0])\n"
        ]
    ).options
    assert (lr.default, size.default, path.default) == (UNKNOWN, 8, UNKNOWN)


@pytest.mark.parametrize(
    ("line", "line_printed", "found"),
    [
        ('print(f"step {s}: val loss {v:.4f}")', "step 3: val loss 9.8e-05", {"val_loss": "9.8e-05"}),
        ('print("Test: Average loss: {:.4f}, Accuracy: {}/{} ({:.0f}%)".format(*x))', "Test: Average loss: 0.5, Accuracy: 9/10 (90%)", {"loss": "0.5,", "accuracy": "9"}),
        ('logging.info("[%d] valid_ppl=%.2f", i, p)', "[3] valid_ppl=8.20", {"val_ppl": "8.20"}),
        ('print("top1", value)', "top1 0.5", {"top1": "0.5"}),
        ('print(f"val acc {a}, test acc {b}")', "val acc 0.1, test acc 0.2", {"val_acc": "0.1,", "acc": "0.2"}),
        ('print(f"took {t} s, loss of time")', "", {}),
    ],
)  # fmt: skip
def test_patterns_find_what_is_printed(line: str, line_printed: str, found: dict[str, str]) -> None:
    import re

    metrics = read_printed([line])
    assert {metric.name: re.search(metric.pattern, line_printed)[re.compile(metric.pattern).groups if "of>" not in metric.pattern else 1] for metric in metrics} == found  # fmt: skip


def test_a_seed_and_a_folder_that_must_be_given_are(call, script, tmp_path: Path) -> None:
    script("import argparse\np = argparse.ArgumentParser()\nfor name in ('--seed', '--output-dir'): ...\np.add_argument('--seed', type=int, required=True)\n"
           "p.add_argument('--output-dir', required=True)\np.add_argument('--lr', type=float, default=0.1)\nprint('loss', p)\n")  # fmt: skip
    call("init", "--command", "python train.py")
    words = load(tmp_path / "study.yaml").runs[0].trainer["command"]
    assert words == ["python", "train.py", "--seed", "{seed}", "--output-dir", "{run_dir}", "--lr", "0.1"]
