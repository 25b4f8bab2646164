"""Study files as texts: a large one to change, and short ways to read one or to collect its mistakes."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from golden_texts import coded

from ablate.errors import StudyError
from ablate.study.loader import Choices, load_text
from ablate.study.values.study import Study

LEE = """\
study: lee
about: Which tweaks help?
cite: {title: A paper, source: somewhere}
recipe:
  data: {name: caltech101, image_size: 224, split: {train: 0.8, val: 0.2}}
  model: {arch: resnet50, init: scratch}
  optimizer: {name: sgd, lr: 0.01, momentum: 0.9, weight_decay: 1e-4}
  batch_size: 64
  epochs: 10
factors:
  tweak: {path: model.tweak, levels: [A, B, C, D]}
  refinements:
    subsets:
      c: {schedule.name: cosine}
      l: {loss.label_smoothing: 0.1}
      m: {mixup.alpha: 0.2}
design: full
exclude: [{tweak: [C, D], refinements: {not: none}}]
seeds: 3
baseline: {tweak: A, refinements: none}
profiles:
  cpu: {recipe: {data.image_size: 32, data.fraction: 0.5}}
tables:
  table1:
    rows: tweak
    where: {refinements: none}
    columns: [top1, top5]
    reported: {A: [0.66, 0.88], B: [0.79, 0.95], C: [0.63, 0.83], D: [0.63, 0.84]}
    claims: [B is best, "A is best of A, C, D"]
  table3:
    rows: refinements
    where: {tweak: B}
    baseline: {refinements: none}
    columns: [top1, top5]
    reported: {c: [0.90, 0.98], c+l: [0.93, 0.99]}
    claims: [c+l is best, c > l by 0.05]
  figure4: {rows: epoch, where: {tweak: B, refinements: none}, columns: [train_top1, top1]}
"""

Read = Callable[..., Study]
Mistakes = Callable[..., list[str]]


def _read(text: str, file: str = "s.yaml", **settings: Any) -> Study:
    return load_text(textwrap.dedent(text), file, Choices(**settings))


@pytest.fixture
def lee() -> str:
    """The study that the contract opens with, without its confounded member."""
    return LEE


@pytest.fixture
def read() -> Read:
    """read(text, file=..., profile=..., sets=..., seeds=...) -> Study"""
    return _read


@pytest.fixture
def mistakes() -> Mistakes:
    """mistakes(text, ...) -> place, key and code of each problem that reading it raises; golden/grammar.txt holds the wording"""

    def collect(text: str, file: str = "s.yaml", **settings: Any) -> list[str]:
        with pytest.raises(StudyError) as caught:
            _read(text, file, **settings)
        return coded(caught.value.problems)

    return collect


@pytest.fixture
def recipe_of() -> Callable[[str], Any]:
    """recipe_of("optimizer: {lr: 1}") -> the one recipe of a study without factors"""

    def one(text: str, file: str = "s.yaml") -> Any:
        body = textwrap.indent(textwrap.dedent(text), "  ")
        study = _read(f"study: s\nseeds: 1\nrecipe:\n{body}\n", file)
        return study.runs[0].recipe

    return one


@pytest.fixture
def refused(mistakes: Mistakes) -> Callable[[str], str]:
    """refused("epochs: 0") -> the one mistake of a recipe, from its key on"""

    def one(text: str) -> str:
        body = textwrap.indent(textwrap.dedent(text), "  ")
        (line,) = mistakes(f"study: s\nseeds: 1\nrecipe:\n{body}\n")
        return line.partition(": ")[2]

    return one


@pytest.fixture
def two(tmp_path: Path) -> Path:
    """A folder with parent.yaml: two archs, three seeds, small."""
    (tmp_path / "parent.yaml").write_text(
        "study: parent\n"
        "recipe: {data.name: digits, epochs: 1}\n"
        "factors: {arch: {path: model.arch, levels: [resnet18, resnet50]}}\n"
        "baseline: {arch: resnet18}\n"
        "seeds: 3\n"
        "profiles: {cpu: {recipe: {data.fraction: 0.5}}}\n"
    )
    return tmp_path
