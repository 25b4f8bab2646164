"""Tuning files: what they come to, and every mistake with its place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from golden_texts import coded, raising

from ablate.errors import NotFound, StudyError
from ablate.study.tuning.tuning import is_tuning, load_tuning
from ablate.study.values.trials import Budget

STUDY = """
study: toy
recipe: {data: {name: digits, split: {train: 0.6, val: 0.2, test: 0.2}}, model: {arch: two-layer-fc}, epochs: 4}
factors:
  smoothing: {path: loss.label_smoothing, levels: {plain: 0.0, smooth: 0.1}}
  rate: {levels: {low: {optimizer.lr: 0.01}, high: {optimizer.lr: 0.1}, slow: {optimizer.lr: 0.001, batch_size: 64}}}
exclude: [{smoothing: smooth, rate: slow}]
seeds: 2
baseline: {smoothing: plain, rate: low}
profiles: {short: {recipe: {epochs: 2}}}
"""
GOOD = {
    "study": "toy.yaml",
    "arms": "[plain/low]",
    "space": "{optimizer.weight_decay: {float: [1e-5, 1e-1], log: true}, optimizer.momentum: {float: [0.0, 0.9]}}",
    "metric": "val_top1",
    "budget": "{trials: 30}",
}


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def build(**changes: str | None) -> Path:
        (tmp_path / "toy.yaml").write_text(STUDY)
        path = tmp_path / "tune.yaml"
        path.write_text("".join(f"{key}: {value}\n" for key, value in {**GOOD, **changes}.items() if value is not None))
        return path

    return build


def test_the_grammar_in_full(write) -> None:
    path = write(
        profile="short", arms="[baseline, smooth/high]", recipe="{data.split: {train: 0.5, val: 0.25, test: 0.25}}", seeds="2",
        space="{optimizer.lr: {float: [1e-4, 1e-1], log: true, only: {rate: {not: slow}}}, batch_size: {int: [16, 64], log: true},"
        " optimizer.momentum: {float: [0.0, 0.9], step: 0.3, only: {smoothing: smooth}}, optimizer.name: {values: [sgd, adamw]}}",
        sampler="{name: gp, seed: 3}", pruner="hyperband", budget="{minutes: 2.5}", metric="val_loss",
    )  # fmt: skip
    tuning = load_tuning(path)
    assert [arm.name for arm in tuning.arms] == ["plain/low", "smooth/high"]
    assert (tuning.study.profile, tuning.study.seeds, tuning.seeds) == ("short", (0, 1), (0, 1))
    assert {arm.recipe["epochs"] for arm in tuning.arms} == {2}
    assert tuning.arms[0].recipe["data"]["split"] == {"train": 0.5, "val": 0.25, "test": 0.25}
    assert (tuning.sampler, tuning.sampler_seed, tuning.pruner) == ("gp", 3, "hyperband")
    assert (tuning.metric, tuning.better, tuning.budget) == ("val_loss", "lower", Budget("minutes", 2.5))
    plain, smooth = (tuning.space_of(arm) for arm in tuning.arms)
    assert [dimension.path for dimension in plain] == ["optimizer.lr", "batch_size", "optimizer.name"]
    assert [dimension.path for dimension in smooth] == [
        "optimizer.lr",
        "batch_size",
        "optimizer.momentum",
        "optimizer.name",
    ]
    assert smooth[2].cells == (0.0, 0.3, 0.6, 0.9)
    assert tuning.warnings == ()


def test_a_step_as_wide_as_its_range_is_two_cells(write) -> None:
    """0.03 - 0.01 is a little less than 0.02 to a computer."""
    tuning = load_tuning(write(space="{optimizer.lr: {float: [0.01, 0.03], step: 0.02}}", sampler="grid"))
    assert tuning.space_of(tuning.arms[0])[0].cells == (0.01, 0.03)


def test_defaults(write) -> None:
    tuning = load_tuning(write(arms=None))
    assert [arm.name for arm in tuning.arms] == ["plain/low", "plain/high", "plain/slow", "smooth/low", "smooth/high"]
    assert (tuning.sampler, tuning.sampler_seed, tuning.pruner, tuning.seeds) == ("tpe", 0, "none", (0,))


def test_a_profile_of_the_command_line_replaces_the_files(write) -> None:
    assert load_tuning(write(), profile="short").study.profile == "short"


def test_found_in_experiments(write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write()
    (tmp_path / "experiments").mkdir()
    for name in ("tune.yaml", "toy.yaml"):
        (tmp_path / name).rename(tmp_path / "experiments" / name)
    monkeypatch.chdir(tmp_path)
    assert load_tuning("tune.yaml").study.name == "toy"
    (tmp_path / "here.yaml").write_text((tmp_path / "experiments" / "tune.yaml").read_text())
    assert load_tuning("here.yaml").study.name == "toy"  # its study is in experiments/
    with pytest.raises(NotFound):
        load_tuning("nowhere.yaml")


def test_a_grid_without_a_budget_tries_all_of_its_cells(write) -> None:
    cells = "{optimizer.lr: {values: [0.1, 0.01]}, batch_size: {int: [8, 10]}}"
    tuning = load_tuning(write(space=cells, sampler="grid", budget=None))
    assert tuning.budget == Budget("trials", 6)
    assert tuning.cells_of(tuning.arms[0])[:4] == [
        {"optimizer.lr": 0.1, "batch_size": 8}, {"optimizer.lr": 0.1, "batch_size": 9}, {"optimizer.lr": 0.1, "batch_size": 10},
        {"optimizer.lr": 0.01, "batch_size": 8},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("space", "{optimizer.lr: {float: [0.1, 0.1]}}", '3: space.optimizer.lr.float: out-of-range'),
        ("space", "{optimizer.lr: {float: [0.1, 0.01]}}", '3: space.optimizer.lr.float: out-of-range'),
        ("space", "{optimizer.momentum: {float: [0, 0.9], log: true}}", '3: space.optimizer.momentum.float: out-of-range'),
        ("space", "{optimizer.lr: {float: [0, 1]}}", '3: space.optimizer.lr.float.0: out-of-range'),
        ("space", "{optimizer.lr: {float: [0.1, .nan]}}", '3: space.optimizer.lr.float: wrong-type'),
        ("space", "{optimizer.lr: {float: 0.1}}", '3: space.optimizer.lr.float: wrong-type'),
        ("space", "{optimizer.lrs: {float: [0.1, 1]}}", '3: space.optimizer.lrs: unknown-field'),
        ("space", "{optimizer: {lr: {float: [0.1, 1]}}}", '3: space.optimizer: unknown-field'),
        ("space", "{optimizer.lr: {flaot: [0.1, 1]}}", '3: space.optimizer.lr: wrong-type'),
        ("space", "{optimizer.lr: {float: [0.1, 1], logg: true}}", '3: space.optimizer.lr.logg: unknown-key'),
        ("space", "{optimizer.lr: {float: [0.1, 1], log: 1}}", '3: space.optimizer.lr.log: wrong-type'),
        ("space", "{optimizer.lr: {float: [0.1, 1], step: 2}}", '3: space.optimizer.lr.step: out-of-range'),
        ("space", "{optimizer.lr: {float: [0.1, 1], step: 0.1, log: true}}", '3: space.optimizer.lr.step: conflict'),
        ("space", "{batch_size: {float: [8, 16]}}", '3: space.batch_size.float: wrong-type'),
        ("space", "{batch_size: {int: [8.5, 16]}}", '3: space.batch_size.int: wrong-type'),
        ("space", "{optimizer.name: {values: [sgd, adma]}}", "3: space.optimizer.name.values.1: wrong-value"),
        ("space", "{optimizer.name: {values: []}}", '3: space.optimizer.name.values: wrong-type'),
        ("space", "{optimizer.name: {values: [sgd, sgd]}}", '3: space.optimizer.name.values: duplicate'),
        ("space", "{data.augment: {values: [[horizontal_flip]]}}", '3: space.data.augment.values.0: wrong-type'),
        ("space", "{model.init: {values: [scratch, imagenet]}}", '3: space.model.init: unsupported'),
        ("space", "{optimizer.lr: {float: [0.1, 1], only: {rates: low}}}", '3: space.optimizer.lr.only.rates: unknown-name'),
        ("space", "{optimizer.lr: {float: [0.1, 1], only: {rate: high}}}", '3: space.optimizer.lr.only: no-effect'),
        ("space", "{}", '3: space: missing'),
        ("space", None, '1: space: missing'),
        ("metric", "val_tpo1", '4: metric: unknown-metric'),
        ("metric", "top1", '4: metric: unknown-metric'),
        ("metric", "test_loss", '4: metric: unknown-metric'),
        ("metric", "train_top1", '4: metric: unknown-metric'),
        ("metric", "seconds", '4: metric: unknown-metric'),
        ("metric", None, '1: metric: unknown-metric'),
        ("budget", "{trials: 0}", '5: budget.trials: out-of-range'),
        ("budget", "{trials: 1.5}", '5: budget.trials: out-of-range'),
        ("budget", "{minutes: 0}", '5: budget.minutes: out-of-range'),
        ("budget", "{epochs: -3}", '5: budget.epochs: out-of-range'),
        ("budget", "{epochs: 3}", '5: budget.epochs: out-of-range'),
        ("budget", "{trials: 3, epochs: 9}", '5: budget: wrong-value'),
        ("budget", "{trails: 3}", '5: budget.trails: unknown-key'),
        ("budget", "30", '5: budget: wrong-value'),
        ("budget", None, '1: budget: wrong-value'),
        ("arms", "[plain/fast]", '2: arms.0: unknown-name'),
        ("arms", "[smooth/slow]", '2: arms.0: not-in-grid'),
        ("arms", "[]", '2: arms: empty'),
        ("sampler", "{name: tpes}", '6: sampler.name: wrong-value'),
        ("sampler", "{name: tpe, seed: -1}", '6: sampler.seed: out-of-range'),
        ("sampler", "grid", '3: space.optimizer.weight_decay: conflict'),
        ("pruner", "medain", '6: pruner: wrong-value'),
        ("seeds", "0", '6: seeds: wrong-value'),
        ("trials", "30", '6: trials: unknown-key'),
        ("profile", "shrot", 'profiles: unknown-name'),
        ("recipe", "{optimizer.weight_decay: 0.1}", '6: recipe.optimizer.weight_decay: conflict'),
        ("recipe", "{loss.label_smoothing: 0.2}", '6: recipe.loss.label_smoothing: no-effect'),
        ("recipe", "{optimiser.lr: 0.1}", '6: recipe.optimiser.lr: unknown-field'),
        ("recipe", "{data.split: {train: 0.8, test: 0.2}}", '4: metric: missing'),
        ("study", "toys.yaml", '1: study: absent-file'),
        ("study", None, '1: study: missing'),
    ],
)  # fmt: skip
def test_mistakes(
    write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, key: str, value: str | None, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StudyError) as caught:
        load_tuning(write(**{key: value}))
    assert any(said in line for line in coded(caught.value.problems))


def test_every_mistake_is_told_at_once(write) -> None:
    with pytest.raises(StudyError) as caught:
        load_tuning(
            write(
                space="{optimizer.lr: {float: [1, 0.1]}, optimizer.lrs: {int: [1, 2]}}",
                metric="top1",
                budget="{trials: 0}",
                arms="[x]",
            )
        )
    assert [problem.key for problem in caught.value.problems] == [
        "arms.0",
        "space.optimizer.lr.float",
        "space.optimizer.lrs",
        "metric",
        "budget.trials",
    ]


def test_the_studys_mistakes_are_told_beside_ours(write, tmp_path: Path) -> None:
    path = write(metric="top1")
    (tmp_path / "toy.yaml").write_text(STUDY.replace("digits", "digitz"))
    with pytest.raises(StudyError) as caught:
        load_tuning(path)
    assert {Path(problem.file).name for problem in caught.value.problems} == {"toy.yaml", "tune.yaml"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"space": "{optimizer.lr: {float: [0.1, 1]}}"}, 'no-effect'),
        ({"recipe": "{data.split: {train: 0.8, val: 0.2}}"}, 'selects-on-reported'),
        ({"space": "{loss.label_smoothing: {values: [0.0, 0.1]}}", "arms": "[plain/low, smooth/low]"}, 'no-effect'),
        ({"space": "{optimizer.momentum: {values: [0.1, 0.2, 0.3]}}", "sampler": "grid", "budget": "{trials: 2}"}, 'too-many'),
    ],
)  # fmt: skip
def test_doubts_are_flagged(write, changes: dict[str, str], said: str) -> None:
    assert any(said in warning for warning in coded(load_tuning(write(**changes)).warnings))


def test_cmaes_needs_two_numbers(write) -> None:
    with raising(StudyError):
        load_tuning(write(sampler="cmaes", space="{optimizer.momentum: {float: [0.1, 0.5]}}"))


def test_what_is_a_tuning_file() -> None:
    assert is_tuning({"study": "a.yaml", "space": {}})
    assert not is_tuning({"study": "a"})
    assert not is_tuning({"study": "a.yaml"})
