"""Tuning files for studies of a script or a function: what may be tuned, over which paths, and `trainer.epochs`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from golden_texts import coded

from ablate.errors import StudyError
from ablate.study.loader import load
from ablate.study.tuning.trial_epochs import most_epochs
from ablate.study.tuning.tuning import load_tuning
from ablate.tuning.recipes import runs_of, tuning_key

STUDY = """
study: own
recipe: {opt: {lr: 0.5, name: sgd}, steps: 400}
trainer:
  command: python train.py --lr {opt.lr} --steps {steps} --seed {seed}
  metrics: {bpc: {better: lower}, val_loss: {pattern: 'val (\\S+)'}, acc: {better: higher, pattern: 'acc (\\S+)'}, size: {better: neither}}
factors:
  rate: {levels: {low: {opt.lr: 1e-4}, high: {opt.lr: 0.1, opt.momentum: 0.9}}}
seeds: 2
baseline: {rate: low}
profiles: {short: {recipe: {steps: 100}}}
"""
GOOD = {
    "study": "own.yaml",
    "arms": "[low]",
    "space": "{opt.lr: {float: [1e-4, 1], log: true}}",
    "metric": "val_loss",
    "budget": "{trials: 30}",
}


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def build(text: str = STUDY, **changes: str | None) -> Path:
        (tmp_path / "own.yaml").write_text(text)
        path = tmp_path / "tune.yaml"
        path.write_text("".join(f"{key}: {value}\n" for key, value in {**GOOD, **changes}.items() if value is not None))
        return path

    return build


def with_epochs(said: object) -> str:
    return STUDY.replace("  metrics:", f"  epochs: {said}\n  metrics:")


@pytest.mark.parametrize(
    ("metric", "better"),
    [("val_loss", "lower"), ("val_bpc", "lower"), ("val/bpc", "lower"), ("val_top1", "higher")],
)
def test_what_is_tuned_is_of_the_validation_set(write, metric: str, better: str) -> None:
    """A metric that is declared so, one whose lines may say `split: val`, and one of ablate's own."""
    tuning = load_tuning(write(metric=metric))
    assert (tuning.metric, tuning.better) == (metric.replace("/", "_"), better)
    assert [warning.key for warning in tuning.warnings] == ["space.opt.lr"]  # which a level sets, too


def test_how_long_a_run_is_changes_no_id(tmp_path: Path) -> None:
    found = []
    for number, text in enumerate((STUDY, with_epochs("steps"), with_epochs(7))):
        (tmp_path / f"{number}.yaml").write_text(text)
        found.append([run.run_id for run in load(tmp_path / f"{number}.yaml").runs])
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize(
    ("said", "changes", "most"),
    [
        ("steps", {}, 400),
        ("steps", {"profile": "short"}, 100),
        ("steps", {"recipe": "{steps: 50}"}, 50),
        ("steps", {"space": "{steps: {int: [10, 30]}}"}, 30),
        ("steps", {"space": "{steps: {values: [10, 20]}}"}, 20),
        (12, {}, 12),
    ],
)
def test_how_long_a_trial_can_be(write, said: object, changes: dict[str, str], most: int) -> None:
    tuning = load_tuning(write(with_epochs(said), pruner="hyperband", **changes))
    assert most_epochs(tuning.study, tuning.arms[0], tuning.space) == most
    assert load_tuning(write(with_epochs(said), budget=f"{{epochs: {most}}}", **changes)).budget.amount == most


def test_with_nothing_sampled_the_runs_are_the_studys_own(write) -> None:
    tuning = load_tuning(write(arms="all", seeds="2"))
    study = load(tuning.study.file)
    found = [run for arm in tuning.arms for run in runs_of(tuning, arm, {})]
    assert {run.run_id: run for run in found} == {run.run_id: run for run in study.runs}


def test_a_value_of_a_list_is_the_level_of_that_text(write) -> None:
    tuning = load_tuning(write(space="{opt.lr: {values: [1e-4, 0.1]}}", sampler="grid", budget=None))
    arm = tuning.arms[0]
    study = load(tuning.study.file)
    level = next(run for run in study.runs if run.arm_id == study.arm("low").arm_id and run.seed == 0)
    (run,) = runs_of(tuning, arm, {"opt.lr": 1e-4})
    assert run.run_id == level.run_id
    assert run.trainer["command"][3] == "1e-4"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.00316228, "0.00316228"), (1e-05, "1e-05"), (3.0, "3.0"), (123456.0, "123456.0"), (8, "8")],
)
def test_a_number_stands_in_the_command_as_its_shortest_text(write, value: float, text: str) -> None:
    tuning = load_tuning(write())
    (run,) = runs_of(tuning, tuning.arms[0], {"opt.lr": value})
    assert run.trainer["command"] == ["python", "train.py", "--lr", text, "--steps", "400", "--seed", "{seed}"]
    assert run.recipe.get("opt.lr") == value == float(text)


def test_the_texts_of_a_list_are_part_of_what_is_tuned(write) -> None:
    keys = set()
    for texts in ("[1e-4, 0.1]", "[0.0001, 0.1]"):
        tuning = load_tuning(write(space=f"{{opt.lr: {{values: {texts}}}}}"))
        keys.add(tuning_key(tuning, tuning.arms[0]))
    assert len(keys) == 2


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("metric", "bpc", "4: metric: unknown-metric"),
        ("metric", "acc", "4: metric: unknown-metric"),
        ("metric", "val_acc", "4: metric: unknown-metric"),
        ("metric", "test_loss", "4: metric: unknown-metric"),
        ("metric", "train_bpc", "4: metric: unknown-metric"),
        ("metric", "val_size", "4: metric: unknown-metric"),
        ("metric", "val_lss", "4: metric: unknown-metric"),
        ("metric", None, "1: metric: unknown-metric"),
        ("space", "{opt.lrs: {float: [0.1, 1]}}", "3: space.opt.lrs: unknown-field"),
        ("space", "{opt: {float: [0.1, 1]}}", "3: space.opt: unknown-field"),
        ("space", "{opt.lr.x: {float: [0.1, 1]}}", "3: space.opt.lr.x: unknown-field"),
        ("space", "{opt.momentum: {float: [0.1, 1]}}", "3: space.opt.momentum: missing"),
        ("space", "{'o p': {float: [0.1, 1]}}", "3: space.o p: bad-name"),
        ("space", "{opt.lr: {float: [1, 0.1]}}", "3: space.opt.lr.float: out-of-range"),
        ("space", "{opt.name: {values: [sgd, sgd]}}", "3: space.opt.name.values: duplicate"),
        ("space", "{opt.name: {values: [[a]]}}", "3: space.opt.name.values.0: wrong-type"),
        ("recipe", "{stepz: 3}", "6: recipe.stepz: unknown-field"),
        ("recipe", "{opt.lr: 3}", "6: recipe.opt.lr: no-effect, 6: recipe.opt.lr: conflict"),
        ("pruner", "hyperband", "6: pruner: missing"),
        ("budget", "{epochs: 100}", "5: budget.epochs: missing"),
    ],
)  # fmt: skip
def test_mistakes(write, key: str, value: str | None, said: str) -> None:
    with pytest.raises(StudyError) as caught:
        load_tuning(write(**{key: value}))
    told = coded(caught.value.problems)
    assert ", ".join(line.rpartition("tune.yaml:")[2] for line in told) == said


def test_a_budget_too_small_for_one_trial(write) -> None:
    with pytest.raises(StudyError) as caught:
        load_tuning(write(with_epochs("steps"), budget="{epochs: 399}"))
    assert [line.rpartition("tune.yaml:")[2] for line in coded(caught.value.problems)] == [
        "5: budget.epochs: out-of-range"
    ]


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("0", "wrong-type"),
        ("true", "wrong-type"),
        ("1.5", "wrong-type"),
        ("[steps]", "wrong-type"),
        ("stepz", "unknown-field"),
        ("opt", "unknown-field"),
        ("opt.name", "wrong-value"),
        ("opt.lr", "wrong-value"),
        ("opt.momentum", "missing"),
    ],
)
def test_how_long_a_run_is_must_be_a_number_or_lead_to_one(tmp_path: Path, said: str, code: str) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(with_epochs(said))
    with pytest.raises(StudyError) as caught:
        load(path)
    assert coded(caught.value.problems)[0] == f"{path}:6: trainer.epochs: {code}"


@pytest.mark.parametrize(
    ("study", "changes", "said"),
    [
        (STUDY, {"space": "{opt.name: {values: [sgd, adam]}}"}, "space.opt.name: no-effect"),
        (STUDY.replace("bpc: {better: lower}, ", "").replace(", acc: {better: higher, pattern: 'acc (\\S+)'}, size: {better: neither}", ""), {}, "metric: selects-on-reported"),
    ],
)  # fmt: skip
def test_doubts_are_flagged(write, study: str, changes: dict[str, str], said: str) -> None:
    told = coded(load_tuning(write(study, **changes)).warnings)
    assert [line.rpartition("tune.yaml:")[2][3:] for line in told][-1] == said


def test_a_function_hears_of_every_setting(write) -> None:
    study = STUDY.replace("command: python train.py --lr {opt.lr} --steps {steps} --seed {seed}", "python: train:fit").replace("pattern: 'val (\\S+)'", "").replace(", pattern: 'acc (\\S+)'", "")  # fmt: skip
    assert load_tuning(write(study, space="{opt.name: {values: [sgd, adam]}}")).warnings == ()
