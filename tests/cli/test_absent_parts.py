"""A study whose parts are gone: its package is not installed, its file was taken out. What was trained is still shown."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ablate.parts.declare import DataSet, Field, Loss, Network, Optimizer, Refinement, Schedule, Transform
from ablate.parts.found import register, unregister

STUDY = """
study: mine
seeds: 2
recipe:
  data: {name: my-data, augment: [{smear: {size: 2}}, horizontal_flip]}
  model.arch: third-net
  optimizer: {name: mine, beta_of_mine: 0.25}
  schedule.name: my-schedule
  loss.name: my-loss
  epochs: 2
factors:
  shake:
    subsets:
      s: {shake: {alpha: 1}}
      w: {shake.width: 9}
baseline: {shake: none}
tables: {t: {rows: shake}}
"""

PARTS = (
    Refinement(
        name="shake", acts=("loss",), is_off=lambda settings: settings["shake.alpha"] == 0,
        fields={"shake.alpha": Field(float, 0.0, "", before=0.0), "shake.width": Field(int, 3, "", before=3)},
    ),
    Optimizer(name="mine", make=dict, fields={"optimizer.beta_of_mine": Field(float, 0.5, "", before=0.5)}),
    Schedule(name="my-schedule", scale=float),
    Loss(name="my-loss", terms=dict),
    Network(name="third-net", build=dict),
    DataSet(name="my-data", open=lambda place: None, embedded=True),
    Transform(name="smear", fields={"size": Field(float, 4.0, "")}, draws=1, kernel=dict),
)  # fmt: skip


@pytest.fixture
def trained(tmp_path: Path, call: Any, fill: Any) -> Iterator[Path]:
    """The study, trained while its parts were there."""
    file = tmp_path / "mine.yaml"
    file.write_text(STUDY)
    for part in PARTS:
        register(part, __name__)
    try:
        fill(file)
        yield file
    finally:
        for part in PARTS:
            unregister(part)


@pytest.mark.slow
def test_what_was_trained_is_shown_without_the_parts(trained: Path, call: Any) -> None:
    def shown() -> list[Any]:
        """Why two arms are one run is worked out, not stored."""
        commands = (("report", "mine", "--format", "json"), ("status", "mine", "--json"), ("runs", "list", "--json"))
        texts = [
            call(*command).out.replace(": shake is off", "").replace(" (shake is off)", "") for command in commands
        ]
        return [json.loads(text) for text in texts]

    before = shown()
    for part in PARTS:
        unregister(part)
    after = shown()
    assert after == before
    said = call("report", "mine").err
    assert said.count("uses parts that are not installed here") == 1
    for what in ("shake.alpha", "shake.width", "optimizer.name mine", "optimizer.beta_of_mine", "schedule.name my-schedule",
                 "loss.name my-loss", "model.arch third-net", "data.name my-data", "data.augment smear"):  # fmt: skip
        assert what in said
    assert call("report", trained, "--format", "json").document == after[0], "the file, unchanged, means the same"


def test_planning_and_training_need_the_parts(trained: Path, call: Any) -> None:
    for part in PARTS:
        unregister(part)
    for command in (("grid", "plan"), ("grid", "run"), ("grid", "check")):
        said = call(*command, trained, code=3).err
        assert "'shake.width' is not a recipe field" in said
        assert "optimizer.name must be one of adam, adamw" in said
        assert "model.arch 'third-net' is not known" in said
        assert "unknown transform 'smear'; allowed: " in said


def test_a_text_that_is_wrong_otherwise_is_still_refused(trained: Path, call: Any) -> None:
    for part in PARTS:
        unregister(part)
    trained.write_text(STUDY.replace("epochs: 2", "epochs: 0"))
    assert "epochs must be at least 1" in call("report", trained, code=3).err
