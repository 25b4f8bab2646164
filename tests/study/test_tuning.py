"""Tuning files: what they come to, and every mistake with its place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ablate.errors import NotFound, StudyError
from ablate.parts.declare import Optimizer
from ablate.parts.found import parts
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
    with pytest.raises(NotFound, match="no such study file"):
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
        ("space", "{optimizer.lr: {float: [0.1, 0.1]}}", "3: space.optimizer.lr.float: the range [0.1, 0.1] is empty; LOW must be below HIGH."),
        ("space", "{optimizer.lr: {float: [0.1, 0.01]}}", "3: space.optimizer.lr.float: the range [0.1, 0.01] is upside down; LOW must be below HIGH."),
        ("space", "{optimizer.momentum: {float: [0, 0.9], log: true}}", "3: space.optimizer.momentum.float: a logarithmic range must begin above 0, not at 0."),
        ("space", "{optimizer.lr: {float: [0, 1]}}", "3: space.optimizer.lr.float.0: optimizer.lr must be above 0, not 0.0."),
        ("space", "{optimizer.lr: {float: [0.1, .nan]}}", "3: space.optimizer.lr.float: must be two numbers [LOW, HIGH], not [0.1, NaN]."),
        ("space", "{optimizer.lr: {float: 0.1}}", "3: space.optimizer.lr.float: must be two numbers [LOW, HIGH], not 0.1."),
        ("space", "{optimizer.lrs: {float: [0.1, 1]}}", "3: space.optimizer.lrs: 'optimizer.lrs' is not a recipe field. Did you mean 'optimizer.lr'?"),
        ("space", "{optimizer: {lr: {float: [0.1, 1]}}}", "3: space.optimizer: 'optimizer' is not a recipe field. It is a section; name a field of it"),
        ("space", "{optimizer.lr: {flaot: [0.1, 1]}}", "3: space.optimizer.lr: must be one of {float: [LOW, HIGH]}, {int: [LOW, HIGH]} or {values: [...]}, not {flaot: [0.1, 1]}."),
        ("space", "{optimizer.lr: {float: [0.1, 1], logg: true}}", "3: space.optimizer.lr.logg: unknown key. Did you mean 'log'? Allowed here: float, log, step, only."),
        ("space", "{optimizer.lr: {float: [0.1, 1], log: 1}}", "3: space.optimizer.lr.log: must be true or false, not 1."),
        ("space", "{optimizer.lr: {float: [0.1, 1], step: 2}}", "3: space.optimizer.lr.step: must be a number above 0 and at most 0.9, not 2."),
        ("space", "{optimizer.lr: {float: [0.1, 1], step: 0.1, log: true}}", "3: space.optimizer.lr.step: a logarithmic range has no step; take out one of `log` and `step`."),
        ("space", "{batch_size: {float: [8, 16]}}", "3: space.batch_size.float: batch_size takes whole numbers only; use {int: [LOW, HIGH]} or {values: [...]}."),
        ("space", "{batch_size: {int: [8.5, 16]}}", "3: space.batch_size.int: must be two whole numbers [LOW, HIGH], not [8.5, 16]."),
        ("space", "{optimizer.name: {values: [sgd, adma]}}", f"3: space.optimizer.name.values.1: optimizer.name must be one of {', '.join(parts(Optimizer))}, not 'adma'. Did you mean 'adam'?"),
        ("space", "{optimizer.name: {values: []}}", "3: space.optimizer.name.values: must be a list of 1 to 10,000 values, not []."),
        ("space", "{optimizer.name: {values: [sgd, sgd]}}", "3: space.optimizer.name.values: holds one value twice: [sgd, sgd]."),
        ("space", "{data.augment: {values: [[horizontal_flip]]}}", "3: space.data.augment.values.0: must be a plain value, not [horizontal_flip]; make it a factor of the study."),
        ("space", "{model.init: {values: [scratch, imagenet]}}", "3: space.model.init: weights cannot be sampled; make them a factor of the study."),
        ("space", "{optimizer.lr: {float: [0.1, 1], only: {rates: low}}}", "3: space.optimizer.lr.only.rates: there is no factor 'rates'. Did you mean 'rate'? Factors: smoothing, rate."),
        ("space", "{optimizer.lr: {float: [0.1, 1], only: {rate: high}}}", "3: space.optimizer.lr.only: matches no arm that is tuned; mend it or take the field out."),
        ("space", "{}", "3: space: is missing or empty: name the recipe fields to tune, each with"),
        ("space", None, "1: space: is missing or empty: name the recipe fields to tune, each with"),
        ("metric", "val_tpo1", "4: metric: 'val_tpo1' is no metric of the validation set. Did you mean 'val_top1'? Allowed: val_top1, val_top5, val_loss, val_mean_class_accuracy."),
        ("metric", "top1", "4: metric: top1 is of the split that is reported, and what selects is never what is reported. Allowed: val_top1"),
        ("metric", "test_loss", "4: metric: test_loss is of the split that is reported, and what selects is never what is reported."),
        ("metric", "train_top1", "4: metric: train_top1 says nothing of new images. Allowed: val_top1"),
        ("metric", "seconds", "4: metric: 'seconds' is no metric of the validation set."),
        ("metric", None, "1: metric: is missing: name the number that is tuned, one of val_top1"),
        ("budget", "{trials: 0}", "5: budget.trials: must be a whole number from 1 to 100,000, not 0."),
        ("budget", "{trials: 1.5}", "5: budget.trials: must be a whole number from 1 to 100,000, not 1.5."),
        ("budget", "{minutes: 0}", "5: budget.minutes: must be a number above 0, not 0."),
        ("budget", "{epochs: -3}", "5: budget.epochs: must be a whole number from 1, not -3."),
        ("budget", "{epochs: 3}", "5: budget.epochs: one trial of arm plain/low may take 4 epochs, so 3 are not enough for any."),
        ("budget", "{trials: 3, epochs: 9}", "5: budget: must be one of {trials: N}, {minutes: M} or {epochs: E}, for each arm; not"),
        ("budget", "{trails: 3}", "5: budget.trails: unknown key. Did you mean 'trials'? Allowed here: trials, minutes, epochs."),
        ("budget", "30", "5: budget: must be one of {trials: N}, {minutes: M} or {epochs: E}, for each arm; not 30."),
        ("budget", None, "1: budget: must be one of {trials: N}, {minutes: M} or {epochs: E}, for each arm; it is missing."),
        ("arms", "[plain/fast]", "2: arms.0: 'plain/fast' names no row: 'fast' is no level."),
        ("arms", "[smooth/slow]", "2: arms.0: 'smooth/slow' is no arm of toy: its design or an exclude rule leaves it out. Arms: plain/low, plain/high"),
        ("arms", "[]", "2: arms: names no arm; say all, or list some."),
        ("sampler", "{name: tpes}", "6: sampler.name: there is no sampler 'tpes'. Did you mean 'tpe'? Allowed: tpe, random, grid, cmaes, gp."),
        ("sampler", "{name: tpe, seed: -1}", "6: sampler.seed: must be a whole number from 0, not -1."),
        ("sampler", "grid", "3: space.optimizer.weight_decay: a grid has no end of values here; give a step, or `values`."),
        ("pruner", "medain", "6: pruner: there is no pruner 'medain'. Did you mean 'median'? Allowed: none, median, hyperband."),
        ("seeds", "0", "6: seeds: must be a number of seeds from 1 to 100,000, or a list of different whole numbers from 0; not 0."),
        ("trials", "30", "6: trials: unknown key."),
        ("profile", "shrot", "profiles: there is no profile 'shrot'. Did you mean 'short'? Profiles: short; full is the scale without one."),
        ("recipe", "{optimizer.weight_decay: 0.1}", "6: recipe.optimizer.weight_decay: optimizer.weight_decay is in `space` too, which would always win; keep one."),
        ("recipe", "{loss.label_smoothing: 0.2}", "6: recipe.loss.label_smoothing: every level of smoothing sets loss.label_smoothing, so this would change nothing."),
        ("recipe", "{optimiser.lr: 0.1}", "6: recipe.optimiser.lr: 'optimiser.lr' is not a recipe field."),
        ("recipe", "{data.split: {train: 0.8, test: 0.2}}", "4: metric: arm plain/low has no validation images to select on; give this file a recipe such as"),
        ("study", "toys.yaml", "1: study: toys.yaml: no such study file"),
        ("study", None, "1: study: is missing: name the study file whose arms are tuned, as in study: lee2024.yaml."),
    ],
)  # fmt: skip
def test_mistakes(
    write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, key: str, value: str | None, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(StudyError) as caught:
        load_tuning(write(**{key: value}))
    assert said in str(caught.value)


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
        ({"space": "{optimizer.lr: {float: [0.1, 1]}}"}, "rate=low sets this field, and the space is applied after the levels: what they set there is never used."),
        ({"recipe": "{data.split: {train: 0.8, val: 0.2}}"}, "in arm plain/low the validation set both selects and is reported, so the best figures flatter; give this file a recipe such as"),
        ({"space": "{loss.label_smoothing: {values: [0.0, 0.1]}}", "arms": "[plain/low, smooth/low]"}, "arms plain/low, smooth/low differ in these fields alone, so they are tuned into one and the same."),
        ({"space": "{optimizer.momentum: {values: [0.1, 0.2, 0.3]}}", "sampler": "grid", "budget": "{trials: 2}"}, "arm plain/low has 3 cells; only the first 2 are tried."),
    ],
)  # fmt: skip
def test_doubts_are_flagged(write, changes: dict[str, str], said: str) -> None:
    assert any(said in warning for warning in load_tuning(write(**changes)).warnings)


def test_cmaes_needs_two_numbers(write) -> None:
    with pytest.raises(StudyError, match=r"cmaes needs two numeric fields; arm plain/low has 1. Use tpe."):
        load_tuning(write(sampler="cmaes", space="{optimizer.momentum: {float: [0.1, 0.5]}}"))


def test_what_is_a_tuning_file() -> None:
    assert is_tuning({"study": "a.yaml", "space": {}})
    assert not is_tuning({"study": "a"})
    assert not is_tuning({"study": "a.yaml"})
