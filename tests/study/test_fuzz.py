"""Whatever a text holds, reading it gives a Study, a StudyError or NotFound, and nothing else.

What comes out as a study is whole: its JSON is canonical, its ids are unique, and the schema for editors takes it too.
"""

from __future__ import annotations

import copy
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ablate.errors import NotFound, StudyError
from ablate.parts.weights import RUN_KEYS
from ablate.study.document.keys import FACTOR, METRIC, PROFILE, STUDY, TABLE, TRAINER
from ablate.study.document.source import parse
from ablate.study.grammar import json_schema
from ablate.study.loader import Choices, load_text
from ablate.study.recipes.digest import canonical_json, run_id
from ablate.study.recipes.recipe import fields
from ablate.study.recipes.transforms import transforms
from ablate.study.values.metrics import METRICS
from ablate.study.values.study import Study

MODEST = settings(max_examples=100, derandomize=True, suppress_health_check=list(HealthCheck))

SAMPLE = """
study: sample
about: Everything at once
cite: {title: t}
recipe:
  data: {name: cifar10, image_size: 32, split: {val: 0.1, test: official}, augment: [rotation, {random_crop: {padding: 4}}]}
  model: {arch: resnet18, init: scratch, args: {a: 1}, trainable: [fc]}
  optimizer: {name: sgd, lr: 0.1, groups: {'a.*': 0.1}}
  loss.class_weights: [1, 2]
  early_stopping: {patience: 3}
  epochs: 3
factors:
  arch: {path: model.arch, levels: [resnet18, resnet50]}
  opt: {levels: {sgd: , adam: {optimizer.name: adam, optimizer: {lr: 1e-3}}}}
  refine: {subsets: {c: {schedule.name: cosine}, l: {loss.label_smoothing: 0.1}}}
design: full
exclude: [{arch: resnet18, refine: {not: none}}, {opt: adam, refine: [c, c+l]}]
include: [{arch: resnet18, opt: sgd, refine: c}]
seeds: 3
baseline: {opt: sgd, refine: none}
profiles:
  cpu: {recipe: {data.image_size: 16}, levels: {refine: {c: {schedule.warmup_epochs: 1}}}, exclude: [{opt: adam}], seeds: [1, 2]}
  walk: {design: {path: [opt, c, l]}, seeds: 1}
tables:
  t: {rows: [arch, opt, refine], columns: [top1, top5], reported: {resnet50/c: [0.90, null], resnet50: [76.21%, 0.5]}, claims: [resnet50/c > resnet50 by 0.05, resnet50 is best]}
  e: {rows: [refine, epoch], where: {arch: resnet50, opt: sgd, epoch: [1, 2]}, reported: {c/1: 0.5}}
  f: {rows: refine, columns: opt, metric: top5, where: {arch: resnet50}, baseline: {refine: c}, test: welch-holm}
  g: {rows: effect, columns: [top1]}
keep: last
"""

OWN_TRAINER = """
study: own
seeds: 2
trainer:
  command: "python train.py {lora.r} --t={lora.targets} {lora.targets} --lr {lr} --seed {seed} {{x}}"
  version: 2
  metrics: {bpc: {better: lower, pattern: 'bpc ([0-9.]+)'}, top1: }
recipe: {lora: {r: 8, targets: [q, v]}, lr: 1e-4, deep: {er: [1, {a: b}]}}
factors:
  rank: {path: lora.r, levels: [4, 8]}
  refine: {subsets: {d: {drop: 0.5}, t: {lora: {targets: [o]}}}}
baseline: {rank: 8, refine: none}
profiles: {cpu: {recipe: {lr: 1}, levels: {refine: {d: {drop: 0.1}}}}}
tables: {t: {rows: [rank, refine], columns: [bpc, val_bpc, top1], claims: [8 is best, 8/d > 4 by 1]}}
"""

WORDS = [
    *STUDY, *FACTOR, *PROFILE, *TABLE, *TRAINER, *METRIC, "{lr}", "x {seed}", "a:b", "(.)", *fields(), *transforms(), *RUN_KEYS, *list(METRICS)[:8], "not", "path", "prose", "A", "B",
    "c", "c+l", "none", "baseline", "resnet18", "resnet50/c", "arch=resnet50", "effect", "epoch", "class", "official",
    "imagenet", "my.net:net", "full", "one-at-a-time", "leave-one-out", "c > l by 0.05", "(a - b) > (c - d) on top1 where x=y",
    "A is best of A, B", "0.90", "76.21%", "1e-4", "1e999", "²", "", " ", "\t", "é", "-", "~", "null", "true", "on", "/", "//",
    "a/b", "x" * 200, "=", "a=b", "+", "c+c", "\x85", "\u2028", "!", "*a", "&a", "<<", "---", "...", "%YAML 1.1", "#", "\ufeff",
]  # fmt: skip
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 5),
    st.integers(),
    st.floats(),
    st.sampled_from(WORDS),
    st.text(max_size=8),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.one_of(st.sampled_from(WORDS), st.text(max_size=5)), inner, max_size=4),
    ),
    max_leaves=8,
)
VALIDATOR = jsonschema.Draft202012Validator(json_schema())
PLAIN: Any = parse(SAMPLE).data
OWN: Any = parse(OWN_TRAINER).data


def check(text: str, chosen: Choices | None = None) -> bool:
    """Read a text; True where it is a study."""
    try:
        study = load_text(text, "no/such/folder/s.yaml", chosen)
    except (StudyError, NotFound) as error:
        message = str(error)
    else:
        whole(study, text)
        return True
    assert message.strip()
    assert len(message) < 400_000
    return False


def whole(study: Study, text: str) -> None:
    for run in study.runs:
        assert run.run_id == run_id(canonical_json(run.recipe.json), run.seed, canonical_json(run.trainer))
    assert len({run.run_id for run in study.runs}) == len(study.runs) > 0
    assert len({arm.name for arm in study.arms}) == len(study.arms) > 0
    assert study.arms_before - sum(rule.count for rule in study.excluded) <= len(study.arms)
    assert [error.json_path + ": " + error.message[:200] for error in VALIDATOR.iter_errors(parse(text).data)] == []


def places(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a nested value, the root left out."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, item in inner for place in ((*here, key), *places(item, (*here, key)))]


def change(draw: st.DrawFn, data: Any) -> None:
    """One change somewhere: another value, a key gone, a key renamed, a key more."""
    place = draw(st.sampled_from(places(data)))
    parent = data
    for key in place[:-1]:
        parent = parent[key]
    how = draw(st.sampled_from(("replace", "leaf", "leaf", "drop", "rename", "add", "move")))
    if how == "replace":
        parent[place[-1]] = draw(VALUES)
    elif how == "leaf":
        if not isinstance(parent[place[-1]], dict | list):
            parent[place[-1]] = draw(st.one_of(LEAVES, st.integers(0, 3)))
    elif how == "drop":
        del parent[place[-1]]
    elif how == "move":
        other = data
        for key in draw(st.sampled_from(places(PLAIN))):
            other = other[key] if isinstance(other, dict) and key in other else other
        parent[place[-1]] = copy.deepcopy(other) if other is not data else 1
    elif isinstance(parent, list):
        parent.append(draw(VALUES))
    else:
        name = draw(st.sampled_from(WORDS))
        parent[name] = parent.pop(place[-1]) if how == "rename" else draw(VALUES)


def at(place: tuple[Any, ...]) -> Any:
    value = PLAIN
    for key in place:
        value = value[key]
    return value


LEAVES = st.sampled_from([at(place) for place in places(PLAIN) if not isinstance(at(place), dict | list)])


@st.composite
def mutated(draw: st.DrawFn) -> str:
    data = copy.deepcopy(draw(st.sampled_from((PLAIN, OWN))))
    for _ in range(draw(st.integers(1, 3))):
        if places(data):
            change(draw, data)
    return str(yaml.safe_dump(data, allow_unicode=True, sort_keys=False))


CHOSEN = st.builds(
    Choices,
    st.sampled_from((None, None, "cpu", "walk", "gpu")),
    st.lists(st.one_of(st.builds("{}={}".format, st.sampled_from(WORDS), st.sampled_from(WORDS)), st.text(max_size=20)), max_size=2).map(tuple),
    st.one_of(st.none(), st.integers(-1, 3), st.lists(st.integers(-1, 3), max_size=3).map(tuple)),
)  # fmt: skip


@MODEST
@given(st.text(max_size=200))
@example("study: s\nrecipe: {model.init: {}}")
@example("study: s\nrecipe: {model.init: {file: 3}}")
@example("study: s\nrecipe: {data.augment: [{random_crop: {padding: .inf}}]}")
@example("study: s\nrecipe: {model.args: {a: .nan}}")
@example("study: s\ntables: {t: {rows: epoch, where: {epoch: ['²']}}}")
@example("study: s\ntables: {t: {rows: epoch, reported: {" + "9" * 5000 + ": 1e" + "9" * 5000 + "}}}")
def test_any_text(text: str) -> None:
    check(text)


@MODEST
@given(
    st.lists(
        st.sampled_from(
            [*WORDS, ": ", "\n", "\n  ", "\n- ", "{", "}", "[", "]", ", ", "'", '"', "- ", "? ", "| ", "> "]
        ),
        max_size=40,
    )
)
def test_text_that_looks_like_yaml(parts: list[str]) -> None:
    check("study: s\n" + "".join(parts))


@MODEST
@given(st.dictionaries(st.sampled_from([*STUDY]), VALUES, max_size=6))
def test_right_keys_with_any_values(data: dict[str, Any]) -> None:
    check(yaml.safe_dump({"study": "s", **data}, allow_unicode=True, sort_keys=False))


@pytest.mark.slow
@MODEST
@given(mutated(), CHOSEN)
def test_changed_studies(text: str, chosen: Choices) -> None:
    check(text, chosen)


@MODEST
@given(st.data())
def test_studies_with_characters_changed(data: st.DataObject) -> None:
    text = data.draw(st.sampled_from((SAMPLE, OWN_TRAINER)))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text) - 1))
        end = start + data.draw(st.integers(0, 6))
        text = text[:start] + data.draw(st.one_of(st.sampled_from(WORDS), st.text(max_size=3))) + text[end:]
    check(text)


def test_the_sample_itself_is_a_study_in_every_scale() -> None:
    for profile in (None, "cpu", "walk"):
        assert check(SAMPLE, Choices(profile))


def test_the_sample_with_a_trainer_of_its_own_is_one_too() -> None:
    for profile in (None, "cpu"):
        assert check(OWN_TRAINER, Choices(profile))
