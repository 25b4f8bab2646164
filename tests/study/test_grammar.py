from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from ablate.study.document import keys
from ablate.study.document.source import parse
from ablate.study.grammar import json_schema
from ablate.study.recipes.recipe import fields

SCHEMA = json_schema()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def errors(text: str) -> list[str]:
    return [error.json_path for error in VALIDATOR.iter_errors(parse(text).data)]


def test_the_schema_is_one_and_can_be_printed() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert json.loads(json.dumps(SCHEMA, allow_nan=False)) == SCHEMA
    assert json_schema() == SCHEMA


def test_every_key_and_every_field_is_in_it_with_a_description() -> None:
    for table, shape in (
        (keys.STUDY, SCHEMA),
        (keys.FACTOR, SCHEMA["$defs"]["factor"]),
        (keys.PROFILE, SCHEMA["$defs"]["profile"]),
        (keys.TABLE, SCHEMA["$defs"]["table"]),
        (keys.RESOURCES, SCHEMA["$defs"]["resources"]),
        (keys.TRAINER, SCHEMA["$defs"]["trainer"]),
        (keys.METRIC, SCHEMA["$defs"]["metric_declared"]),
        (keys.CONFIG, SCHEMA["$defs"]["config"]),
    ):
        assert list(shape["properties"]) == list(table)
        assert all(entry["description"].endswith(".") for entry in shape["properties"].values())
        assert shape["additionalProperties"] is False
    settings = SCHEMA["$defs"]["settings"]["properties"]
    for path, field in fields().items():
        section, _, leaf = path.rpartition(".")
        assert settings[path]["description"]
        assert settings[path]["default"] == field.default
        if section:
            assert settings[section]["properties"][leaf] == settings[path]


def test_every_reference_leads_somewhere() -> None:
    def references(value: Any) -> list[str]:
        if isinstance(value, dict):
            own = [value["$ref"]] if "$ref" in value else []
            return own + [ref for item in value.values() for ref in references(item)]
        return [ref for item in value for ref in references(item)] if isinstance(value, list) else []

    assert {ref.removeprefix("#/$defs/") for ref in references(SCHEMA)} <= set(SCHEMA["$defs"])


VALID = [
    "study: s",
    "study: 2024\nabout: 0.9\nrecipe:\nfactors:\nexclude:\ninclude:\nseeds:\ntables:\nprofiles:\nkeep:\ntune:\ntrainer:\ncite:\ndesign:",
    "study: s\nrecipe: {data.name: cifar10, data.split: {val: 0.1, test: official}, data: {augment: [rotation, {random_crop: {padding: 2}}, {rotation: }], normalize: {mean: 0.5, std: [1, 2, 3]}}}",
    "study: s\nrecipe: {model: {arch: 'my.nets:net', args: {a: [1]}, args.b: 3, trainable: fc, tweak: }, model.args.c: {d: 1}}",
    "study: s\nrecipe: {data.name: cifar10, model.init: imagenet, loss.class_weights: [1, 2], optimizer.groups: {'a.*': 1}}",
    "study: s\nfactors: {lr: {path: optimizer.lr, levels: [1e-4, 1]}, a: {path: model.args.w, levels: {x: [1], y: {z: 1}}}}\nbaseline: {lr: 1, a: x}",
    "study: s\nfactors: {f: {levels: {a: , b: {epochs: 3, optimizer: {lr: 1}}}}}\nbaseline: {f: a}\nseeds: [1, 5]",
    "study: s\nfactors: {f: {subsets: {a: {epochs: 3}, b: {mixup.alpha: 1}}}}\nbaseline: {f: none}\ndesign: {path: [a, b]}",
    "study: s\ntables: {t: {rows: epoch, reported: {1: 0.5, 2: [50%], 3: null}, claims: [{prose: 3}]}}",
    "study: s\nseeds: 1\ntrainer: {command: 'x --a {a.b}', seed: , version: , metrics: }\nrecipe: {a: {b: [1, 2]}, model: 3}",
    "study: s\ntrainer: {command: [x, 3, '{seed}'], metrics: {acc: {better: higher, pattern: (.)}, top1: }}\ntables: {t: {rows: epoch, columns: [acc, val_acc, top1]}}",
    "study: s\nseeds: 1\ntrainer: {command: 'x {f?--f|--g} {port}', cwd: '../{r}', env: {A: , B: 3, C: '{threads}'}, venv: ../.venv, setup: [y, 3], checkpoint: '{run_dir}/c*', resume: [--r, '{checkpoint}']}\nrecipe: {f: true, r: s}",
    "study: s\nseeds: 1\ntrainer: {command: 'cd x && y {a} | tee z', shell: bash, setup: 'make x', cwd: , env: , venv: , config: , checkpoint: , resume: }\nrecipe: {a: 1}",
    "study: s\nseeds: 1\ntrainer: {command: x, source: copy, replace: {a.py: {'s = 1': 's = {seed}', t: 3, u: }}}",
    "study: s\nseeds: 1\ntrainer: {command: x, source: , replace: }",
    "study: s\ntrainer: {python: a.b:c, version: 2}\nrecipe: {w: 1}\nfactors: {f: {path: x.y, levels: {a: [1], b: {z: 3}}}, g: {subsets: {m: {q: {r: 1}}}}}\nbaseline: {f: a}\nprofiles: {p: {recipe: {w: 4}, levels: {g: {m: {q.r: 2}}}}}",
    "study: s\nresources: {gpus: 1, cpus: , memory: 1.5 TiB}\nprofiles: {p: {resources: }, q: {resources: {gpus: 0}}}",
    "study: s\ntables: {t: {rows: [class], columns: f1, where: {class: [cat, macro]}, test: welch-holm, caption: 3}}",
]


@pytest.mark.parametrize("text", VALID)
def test_what_the_loader_takes_the_schema_takes(read: Any, text: str) -> None:
    read(text)
    assert errors(text) == []


def test_the_contracts_study_is_valid(read: Any, lee: str) -> None:
    text = lee + "include: [{tweak: C, refinements: c}]\nkeep: all\n"
    text = text.replace(
        "  cpu: {",
        "  cpu: {levels: {tweak: {B: {model.dropout: 0.5}}}, exclude: [{tweak: D}], seeds: [1, 2], design: full, ",
    )
    read(text, profile="cpu")
    assert errors(text) == []


def test_inits_of_every_form_are_valid() -> None:
    for init in ("scratch", "w.pt", "{file: w.pt}", f"{{file: w.pt, sha256: {'a' * 64}}}", "{study: a.yaml, arm: 1e-4, seed: 3}",
                 "{study: a.yaml, profile: cpu, arm: x, seed: same, weights: selected}"):  # fmt: skip
        assert errors(f"study: s\nrecipe: {{model.init: {init}}}") == []


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("about: x", "$"),
        ("study: Lee 2024", "$.study"),
        ("study: s\nepochs: 3", "$"),
        ("study: s\nrecipe: {epoch: 3}", "$.recipe"),
        ("study: s\nrecipe: {epochs: three}", "$.recipe.epochs"),
        ("study: s\nrecipe: {epochs: 0}", "$.recipe.epochs"),
        ("study: s\nrecipe: {optimizer: {lr: -1}}", "$.recipe.optimizer.lr"),
        ("study: s\nrecipe: {optimizer.lr: -1}", "$.recipe['optimizer.lr']"),
        ("study: s\nrecipe: {optimizer: {rate: 1}}", "$.recipe.optimizer"),
        ("study: s\nrecipe: {optimizer.name: lamb}", "$.recipe['optimizer.name']"),
        ("study: s\nrecipe: {model.arch: resnet51}", "$.recipe['model.arch']"),
        ("study: s\nrecipe: {select: test_top1}", "$.recipe.select"),
        ("study: s\nrecipe: {model.nesterov: on}", "$.recipe"),
        ("study: s\nrecipe: {optimizer.nesterov: on}", "$.recipe['optimizer.nesterov']"),
        ("study: s\nrecipe: {data.split: {train: 2}}", "$.recipe['data.split']"),
        ("study: s\nrecipe: {data.augment: [flip]}", "$.recipe['data.augment'][0]"),
        ("study: s\nrecipe: {model.init: {arm: x}}", "$.recipe['model.init']"),
        ("study: s\nfactors: {f: {path: optimizer.rate, levels: [1]}}", "$.factors.f.path"),
        ("study: s\nfactors: {f: {path: epochs}}", "$.factors.f"),
        ("study: s\nfactors: {f: {levels: [1, 2]}}", "$.factors.f.levels"),
        ("study: s\nfactors: {f: {levels: {a: {epoch: 1}}}}", "$.factors.f.levels.a"),
        ("study: s\nfactors: {f: {subset: {a: }}}", "$.factors.f"),
        ("study: s\ndesign: half", "$.design"),
        ("study: s\ndesign: {path: }\nexclude: {tweak: A}", "$.exclude"),
        ("study: s\nexclude: [{tweak: {nor: A}}]", "$.exclude[0].tweak"),
        ("study: s\nseeds: 0", "$.seeds"),
        ("study: s\nseeds: [1, 1]", "$.seeds"),
        ("study: s\nbaseline: {tweak: [A]}", "$.baseline.tweak"),
        ("study: s\nprofiles: {cpu: {recipes: {}}}", "$.profiles.cpu"),
        ("study: s\nprofiles: {cpu: {levels: {f: {a: {epoch: 3}}}}}", "$.profiles.cpu.levels.f.a"),
        ("study: s\ntables: {t: {columns: top1}}", "$.tables.t"),
        ("study: s\ntables: {t: {rows: f, column: top1}}", "$.tables.t"),
        ("study: s\ntables: {t: {rows: f, test: t}}", "$.tables.t.test"),
        ("study: s\ntables: {t: {rows: f, metric: top2}}", "$.tables.t.metric"),
        ("study: s\ntables: {t: {rows: f, reported: {a: [true]}}}", "$.tables.t.reported.a"),
        ("study: s\ntables: {t: {rows: f, claims: [{text: x}]}}", "$.tables.t.claims[0]"),
        ("study: s\nkeep: best", "$.keep"),
        ("study: s\ntrainer: {command: x, python: a:b}", "$.trainer"),
        ("study: s\ntrainer: {}", "$.trainer"),
        ("study: s\ntrainer: {python: a:b, versions: 1}", "$.trainer"),
        ("study: s\nseeds: 1\ntrainer: {command: x, source: git}", "$.trainer.source"),
        ("study: s\nseeds: 1\ntrainer: {command: x, source: {git: , commit: a}}", "$.trainer.source"),
        ("study: s\nseeds: 1\ntrainer: {command: x, replace: {a.py: b}}", "$.trainer.replace['a.py']"),
        ("study: s\ntrainer: {python: a:b, metrics: {x: {better: more}}}", "$.trainer.metrics.x.better"),
        ("study: s\ntrainer: {python: a:b}\ntables: {t: {rows: f, column: top1}}", "$.tables.t"),
    ],
)
def test_mistakes_are_seen_where_they_are(mistakes: Any, text: str, place: str) -> None:
    assert mistakes(text)
    found = errors(text)
    assert any(path == place or path.startswith(place) for path in found), found
