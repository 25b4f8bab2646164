"""`trainer:` in a study file: what it may say, what is hashed of it, and what is checked before anything runs."""

from __future__ import annotations

import hashlib
import textwrap
from pathlib import Path
from typing import Any

import pytest
from golden_texts import coded

from ablate.study.assign.command_words import expand, fill, holes, parse_word
from ablate.study.assign.foreign_recipe import apply_free
from ablate.study.assign.foreign_trainer import fit_name
from ablate.study.assign.trainer_title import trainer_title
from ablate.study.loader import load
from ablate.study.recipes.digest import canonical_json, run_id

LORA = """\
study: lora
recipe:
  lora: {r: 8, targets: [q_proj, v_proj]}
  lr: 1e-4
trainer:
  command: "python train.py --rank {lora.r} --targets {lora.targets} --lr {lr} --seed {seed} --out {run_dir}"
  metrics: {perplexity: {better: lower, pattern: 'ppl ([0-9.]+)'}}
factors:
  rank: {path: lora.r, levels: [4, 8]}
seeds: 2
baseline: {rank: 8}
"""


def one(command: str, recipe: str = "{}", more: str = "seeds: 1") -> str:
    """A study of one arm with this command, given as YAML."""
    return f"study: s\n{more}\ntrainer:\n  command: {command}\nrecipe: {recipe}\n"


def test_a_unit_is_hashed_where_it_is_given(read: Any) -> None:
    plain = read("study: s\ntrainer: {python: a:b, metrics: {acc: {better: higher}, top1: }}").runs[0]
    same = read("study: s\ntrainer: {python: a:b, metrics: {acc: {better: higher, unit: null}, top1: }}").runs[0]
    other = read("study: s\ntrainer: {python: a:b, metrics: {acc: {better: higher, unit: percent}, top1: }}").runs[0]
    assert plain.trainer == {"python": "a:b", "version": 1, "metrics": {"acc": None, "top1": None}}
    assert plain.run_id == same.run_id != other.run_id
    assert other.trainer == {**plain.trainer, "units": {"acc": "percent"}}


def words(read: Any, command: str, recipe: str = "{}") -> list[str]:
    (run,) = read(one(command, recipe)).runs
    return list(run.trainer["command"])


def test_a_command_is_filled_from_the_recipe_of_each_arm(read: Any) -> None:
    study = read(LORA)
    commands = [run.trainer["command"] for run in study.runs]
    assert commands[0] == (
        [
            "python",
            "train.py",
            "--rank",
            "4",
            "--targets",
            "q_proj",
            "v_proj",
            "--lr",
            "1e-4",
            "--seed",
            "{seed}",
            "--out",
            "{run_dir}",
        ]
    )
    assert [command[3] for command in commands] == ["4", "8", "4", "8"]
    assert study.runs[0].recipe == {"lora": {"r": 4, "targets": ["q_proj", "v_proj"]}, "lr": 1e-4}
    assert study.metrics == {"perplexity": "lower"}
    assert study.trainer["command"].startswith("python train.py --rank {lora.r}")


def test_the_command_the_version_and_the_metrics_are_hashed_beside_the_recipe_and_directions_are_not(read: Any) -> None:
    study = read(LORA)
    for run in study.runs:
        trainer = canonical_json(run.trainer)
        assert run.run_id == run_id(canonical_json(run.recipe.json), run.seed, trainer)
        whole = {"recipe": run.recipe.json, "seed": run.seed, "trainer": run.trainer, "version": 1}
        assert run.run_id == hashlib.sha256(canonical_json(whole).encode()).hexdigest()
    ids = {run.run_id for run in study.runs}
    assert len(ids) == 4
    for change in (("{run_dir}", "{run_dir}/x"), ("better: lower, pattern: 'ppl", "better: lower, pattern: 'PPL"), ("  metrics", "  version: 2\n  metrics")):  # fmt: skip
        assert not ids & {run.run_id for run in read(LORA.replace(*change)).runs}
    for change in (("better: lower", "better: higher"), ("study: lora", "study: other"), ("  metrics", "  version: 1\n  metrics")):  # fmt: skip
        assert ids == {run.run_id for run in read(LORA.replace(*change)).runs}


@pytest.mark.parametrize(
    ("command", "recipe", "expected"),
    [
        ("x {a}", "{a: 1e-4}", ["x", "1e-4"]),
        ("x {a}", "{a: 0.0001}", ["x", "0.0001"]),
        ("x {a} {b} {c}", "{a: on, b: true, c: ~}", ["x", "on", "true", "~"]),
        ("x {a}", "{a: '; rm -rf x'}", ["x", "; rm -rf x"]),
        ("x --a={a}", '{a: "it\'s $HOME `ls`"}', ["x", "--a=it's $HOME `ls`"]),
        ("x {a} {a}{a}", "{a: [1, 2e3]}", ["x", "1", "2e3", "1,2e31,2e3"]),
        ("x --a={a}", "{a: [p, q]}", ["x", "--a=p,q"]),
        ("x {a} {b}y", "{a: [], b: []}", ["x", "y"]),
        ("x {a.b.c}", "{a.b: {c: 3}}", ["x", "3"]),
        ("'x y' \"{a} b\" c\\ d", "{a: 1}", ["x y", "1 b", "c d"]),
        ("x {{a}} {{{a}}}", "{a: 1}", ["x", "{{a}}", "{{1}}"]),
        ("x {a}", "{a: '{seed}'}", ["x", "{{seed}}"]),
        ("[x, 3, 1e-4, '{a} b', '']", "{a: 1}", ["x", "3", "1e-4", "1 b", ""]),
        ("x '' {a}", "{a: }", ["x", "", ""]),
    ],
)
def test_words_are_split_first_and_filled_then(read: Any, command: str, recipe: str, expected: list[str]) -> None:
    shown = command if command.startswith("[") else "|\n    " + command
    assert words(read, shown, recipe) == expected


def test_what_is_of_the_run_is_filled_in_when_it_starts() -> None:
    stored = fill([parse_word(word) for word in ("{a}", "{seed}", "--out={run_dir}/x", "{{seed}}")], {"a": "{run_dir}"})
    assert stored == ["{{run_dir}}", "{seed}", "--out={run_dir}/x", "{{seed}}"]
    assert expand(stored, 7, "/my runs/'1'") == ["{run_dir}", "7", "--out=/my runs/'1'/x", "{seed}"]
    assert holes([parse_word("{a}{b}"), parse_word("{a}")]) == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("trainer: x", 'trainer: wrong-type'),
        ("trainer: {}", 'trainer: missing'),
        ("trainer: {command: x, python: a:b}", 'trainer: missing'),
        ("trainer: {command: x, comand: y}", "trainer.comand: unknown-key"),
        ("trainer: {command: \"x 'y\"}", 'trainer.command: bad-format'),
        ("trainer: {command: ''}", 'trainer.command: missing'),
        ("trainer: {command: []}", 'trainer.command: missing'),
        ("trainer: {command: {a: b}}", 'trainer.command: wrong-type'),
        ("trainer: {command: [x, [y]]}", 'trainer.command: wrong-type'),
        ("trainer: {command: [x, '{a']}", 'trainer.command.1: bad-format'),
        ("trainer: {command: 'x {}'}", 'trainer.command: bad-format'),
        ("trainer: {python: train}", 'trainer.python: bad-format'),
        ("trainer: {python: 3}", 'trainer.python: bad-format'),
        ("trainer: {python: a:b, version: 1.5}", 'trainer.version: out-of-range'),
        ("trainer: {python: a:b, version: true}", 'trainer.version: out-of-range'),
        ("trainer: {command: x, seed: argv}", 'trainer.seed: wrong-value'),
        ("trainer: {python: a:b, seed: env}", 'trainer.seed: wrong-value'),
        ("trainer: {command: x, metrics: [loss]}", 'trainer.metrics: wrong-type'),
        ("trainer: {command: x, metrics: {bpc: }}", 'trainer.metrics.bpc: missing'),
        ("trainer: {command: x, metrics: {bpc: {better: less}}}", 'trainer.metrics.bpc.better: wrong-value'),
        ("trainer: {command: x, metrics: {bpc: {better: lower, beter: lower}}}", "trainer.metrics.bpc.beter: unknown-key"),
        ("trainer: {command: x, metrics: {loss: {better: higher}}}", 'trainer.metrics.loss.better: conflict'),
        ("trainer: {command: x, metrics: {'a b': {better: lower}}}", 'trainer.metrics.a b: bad-name'),
        ("trainer: {command: x, metrics: {epoch: {better: lower}}}", 'trainer.metrics.epoch: bad-name'),
        ("trainer: {command: x, metrics: {loss: {pattern: 'a('}}}", 'trainer.metrics.loss.pattern: bad-format'),
        ("trainer: {command: x, metrics: {loss: {pattern: 'a'}}}", 'trainer.metrics.loss.pattern: bad-format'),
        ("trainer: {command: x, metrics: {loss: {pattern: '(?P<epoch>.)'}}}", 'trainer.metrics.loss.pattern: bad-format'),
        ("trainer: {command: x, metrics: {top1: {unit: '%'}}}", 'trainer.metrics.top1.unit: wrong-value'),
        ("trainer: {python: a:b, metrics: {val_loss: {unit: percent}}}", 'trainer.metrics.val_loss.unit: conflict'),
        ("trainer: {python: a:b, metrics: {loss: {pattern: '(.)'}}}", 'trainer.metrics.loss.pattern: unsupported'),
        ("trainer: {python: a:b}\nkeep: last", 'keep: unsupported'),
        ("trainer: {python: a:b}\nrecipe: {a b: 1}", 'recipe.a b: bad-name'),
        ("trainer: {python: a:b}\nrecipe: {a..b: 1}", 'recipe.a..b: bad-name'),
        ("trainer: {python: a:b}\nrecipe: {a: 1, a.b: 2}", 'recipe.a.b: conflict'),
        ("trainer: {python: a:b}\nrecipe: {a.b: 2, a: 1}", 'recipe.a: conflict'),
        ("trainer: {python: a:b}\nrecipe: {a: {b: 2}, a.b: 1}", 'recipe.a.b: duplicate'),
        ("trainer: {python: a:b}\nrecipe: {a: .nan}", 'recipe.a: wrong-value'),
        ("trainer: {python: a:b}\nrecipe: {a: [{b: .inf}]}", 'recipe.a: wrong-value'),
        ("trainer: {python: a:b}\nrecipe: [1]", 'recipe: wrong-type'),
    ],
)  # fmt: skip
def test_mistakes_are_told_with_their_place(mistakes: Any, text: str, message: str) -> None:
    (line,) = mistakes(f"study: s\nseeds: 1\n{text}")
    assert line.partition(": ")[2] == message


def test_mistakes_that_have_no_bearing_on_arms_hide_none_of_theirs(mistakes: Any) -> None:
    found = mistakes("""study: S!
recipe: {lr: 1}
trainer: {command: 'x --lr {rate}', metrics: {bpc: {better: less}}, select: acc}
seeds: 1
labels: {rate: R}
""")
    assert [line.partition(": ")[2] for line in found] == [
        "study: bad-name",
        "trainer.metrics.bpc.better: wrong-value",
        "trainer.select: unknown-metric",
        "trainer.command: unknown-field",
        "labels.rate: unknown-name",
    ]


@pytest.mark.parametrize(
    ("recipe", "hole", "message"),
    [
        ("{lora: {r: 8}, lr: 1}", "lora.rr", 's.yaml:4: trainer.command: unknown-field'),
        ("{lr: 1}", "run_dri", 's.yaml:4: trainer.command: unknown-field'),
        ("{lora: {r: 8, targets: [q]}}", "lora", 's.yaml:4: trainer.command: unknown-field'),
        ("{a: [[1]]}", "a", 's.yaml:4: trainer.command: wrong-type'),
        ("{a: {}}", "a", 's.yaml:4: trainer.command: wrong-type'),
        ("{seed: 3}", "seed", 's.yaml:5: recipe.seed: bad-name'),
    ],
)  # fmt: skip
def test_an_unknown_placeholder_names_the_nearest_path_and_its_line(
    mistakes: Any, recipe: str, hole: str, message: str
) -> None:
    (line,) = mistakes(one(f"'x --a {{{hole}}}'", recipe))
    assert line == message


def test_in_a_list_of_words_the_word_itself_is_named(mistakes: Any) -> None:
    text = """\
        study: s
        seeds: 1
        trainer:
          command:
            - python
            - --lr={lrr}
        recipe: {lr: 1}
    """
    (line,) = mistakes(text)
    assert line.startswith("s.yaml:6: trainer.command.1: unknown-field")


def test_every_arm_has_what_the_command_asks_for(mistakes: Any) -> None:
    text = one("'x {a}'", "{b: 1}", "seeds: 1\nfactors: {f: {levels: {no: , yes: {a: 3}}}}\nbaseline: {f: no}")
    (line,) = mistakes(text)
    assert line == ("s.yaml:6: trainer.command: missing")


def test_several_seeds_need_a_way_to_the_script(mistakes: Any, read: Any) -> None:
    (line,) = mistakes(one("x", more="seeds: 3"))
    assert line == ("s.yaml:4: trainer.command: missing")
    assert len(read(one("x\n  seed: env", more="seeds: 3")).runs) == 3
    assert len(read(one("x", more="seeds: 3"), seeds=1).runs) == 1
    assert mistakes(one("x", more="seeds: 1"), seeds=(4, 5))
    assert len(read(one("x {seed}", more="seeds: 3")).runs) == 3
    assert len(read("study: s\ntrainer: {python: a:b}").runs) == 3


def test_factors_set_paths_of_the_free_mapping(read: Any) -> None:
    study = read(
        """\
        study: s
        seeds: 1
        trainer: {python: my.pkg:train, version: 3}
        recipe: {net: {width: 8, act: relu}, data: {image_size: huge}, list: [1, {a: b}]}
        factors:
          net: {path: net, levels: {wide: {width: 64}, none: }}
          refine: {subsets: {d: {drop: 0.5}, n: {norm.kind: layer}}}
        baseline: {net: wide, refine: none}
        """
    )
    recipes = {arm.name: arm.recipe for arm in study.arms}
    assert recipes["wide/d"] == {
        "net": {"act": "relu", "width": 64},
        "data": {"image_size": "huge"},
        "list": [1, {"a": "b"}],
        "drop": 0.5,
    }
    assert recipes["none/n"]["net"] is None
    assert recipes["none/n"]["norm"] == {"kind": "layer"}
    assert study.runs[0].trainer == {"python": "my.pkg:train", "version": 3, "metrics": {}}


def test_levels_that_set_one_thing_twice_are_told(mistakes: Any) -> None:
    text = """\
        study: s
        trainer: {python: a:b}
        recipe: {lora: {r: 8}}
        factors:
          one: {path: lora, levels: {off: , on: {r: 8}}}
          two: {path: lora.r, levels: [8, 16]}
        baseline: {one: on, two: 8}
    """
    (line,) = mistakes(text)
    assert "factors.two: conflict" in line
    assert "factors.two: conflict" in line


def test_a_value_in_a_sections_place_takes_it_out() -> None:
    assert apply_free({"a.b": 1, "a.c": 2, "ab": 3}, {"a": None}) == {"ab": 3, "a": None}
    assert apply_free({"a": 1}, {"a.b": 2}) == {"a.b": 2}


def test_a_slip_in_a_profile_or_on_the_command_line_is_told(mistakes: Any, read: Any) -> None:
    (line,) = mistakes(LORA, sets=("lrr=3",))
    assert line == ("--set lrr=3: unknown-field")
    (line,) = mistakes(LORA + "profiles: {cpu: {recipe: {lora.dropout: 0}}}")
    assert line == "s.yaml:12: profiles.cpu.recipe.lora.dropout: unknown-field"
    (line,) = mistakes(LORA + "profiles: {cpu: {levels: {rank: {4: {x: 0}}}}}")
    assert line == "s.yaml:12: profiles.cpu.levels.rank.4.x: unknown-field"
    study = read(LORA + "profiles: {cpu: {recipe: {lr: 5e-5}, levels: {rank: {4: {lora.r: 2}}}}}", profile="cpu", sets=("lora.targets=[o]",))  # fmt: skip
    assert study.runs[0].trainer["command"][2:8] == ["--rank", "2", "--targets", "o", "--lr", "5e-5"]


def test_arms_with_the_same_command_and_recipe_are_one_run(read: Any) -> None:
    text = one("x {a}", "{a: 1}", "seeds: 1\nfactors: {f: {levels: {p: {a: 2}, q: {a: 2}}}}\nbaseline: {f: p}")
    study = read(text)
    assert len(study.runs) == 1
    assert study.arms[1].merged_into == "p"


def test_a_factor_that_the_command_never_hears_of_is_doubted(read: Any) -> None:
    text = one("x {a}", "{a: 1, b: 2}", "seeds: 1\nfactors: {f: {path: b, levels: [2, 3]}}\nbaseline: {f: 2}")
    (warning,) = coded(read(text).warnings)
    assert warning == ("s.yaml:3: factors.f: no-effect")
    assert read(text.replace("x {a}", "x {a} {b}")).warnings == ()
    assert read(text.replace("command: x {a}", "python: a:b")).warnings == ()


TABLES = """\
tables:
  t: {rows: rank, claims: [8 is best]}
  u: {rows: [rank, epoch], columns: [perplexity, val_perplexity, top1]}
"""


def test_watch_is_globs_and_no_part_of_identity(read: Any, mistakes: Any) -> None:
    watched = LORA.replace("  metrics:", "  watch: [model.py, 'src/**/*.py']\n  metrics:")
    assert watched != LORA
    assert [run.run_id for run in read(watched).runs] == [run.run_id for run in read(LORA).runs]
    assert read(watched).trainer["watch"] == ["model.py", "src/**/*.py"]
    for bad in ("/etc/*", "~/x", "''"):
        (line,) = mistakes(LORA.replace("  metrics:", f"  watch: [{bad}]\n  metrics:"))
        assert "trainer.watch: bad-format" in line
    (line,) = mistakes(LORA.replace("  metrics:", "  watch: {a: b}\n  metrics:"))
    assert "trainer.watch: wrong-type" in line


def test_a_program_or_watched_files_that_are_not_there_are_doubted(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(one("python train.py {a}", "{a: 1}", "seeds: 1"))
    (warning,) = coded(load(file).warnings)
    assert "trainer.command: absent-file" in warning
    (tmp_path / "train.py").write_text("")
    assert load(file).warnings == ()
    file.write_text(file.read_text().replace("trainer:\n", "trainer:\n  watch: [model.py, '*.py']\n"))
    (warning,) = coded(load(file).warnings)
    assert "trainer.watch: absent-file" in warning
    file.write_text("study: s\ntrainer: {python: pkg.mod:f}\nseeds: 1\n")
    (warning,) = coded(load(file).warnings)
    assert "trainer.python: absent-file" in warning


def test_tables_and_claims_know_the_declared_metrics(read: Any, mistakes: Any) -> None:
    tables = read(LORA + TABLES).tables
    assert tables["t"].columns == ("perplexity",)
    assert tables["t"].claims[0].metric == "perplexity"
    assert tables["u"].columns == ("perplexity", "val_perplexity", "top1")
    assert read(LORA).tables["metrics"].columns == ("perplexity",)
    (line,) = mistakes(LORA + TABLES.replace("columns: [perplexity,", "columns: [perplexty,"))
    assert "unknown-metric" in line
    (line,) = mistakes((LORA + TABLES).replace("better: lower", "better: neither"))
    assert line.endswith("claims.0: bad-claim")


def test_a_script_may_declare_a_metric_that_is_ours_for_classes_alone(read: Any, mistakes: Any) -> None:
    text = "study: s\nseeds: 1\ntrainer: {python: a:b, metrics: {f1: }}\ntables: {t: {rows: m, columns: [f1]}}\n"
    factors = "recipe: {m: 1}\nfactors: {m: {path: m, levels: [1, 2]}}\nbaseline: {m: 1}\n"
    study = read(text + factors)
    assert study.tables["t"].columns == ("f1",)
    (line,) = mistakes(text.replace("f1: ", "acc: {better: higher}") + factors)
    assert line == "s.yaml:4: tables.t.columns.0: unknown-metric"


def test_a_study_cannot_start_from_weights_of_a_trainer_that_is_not_ours(mistakes: Any, tmp_path: Any) -> None:
    (tmp_path / "own.yaml").write_text(textwrap.dedent("study: own\ntrainer: {python: a:b}\n"))
    text = "study: s\nrecipe: {model.init: {study: own.yaml, arm: baseline}}"
    (line,) = mistakes(text, file=str(tmp_path / "s.yaml"))
    assert line.endswith("model.init.study: unsupported")


def test_what_a_study_asks_of_the_worker_and_says_of_itself(read: Any) -> None:
    assert fit_name(None) == "ablate.training.trainer:fit"
    assert fit_name({"command": "x"}) == "ablate.training.foreign.command:fit"
    assert fit_name({"python": "a:b"}) == "ablate.training.foreign.python:fit"
    assert trainer_title({"command": "python train.py --lr {lr} x"}) == "own command python train.py"
    assert trainer_title({"command": ["--x", 3]}) == "own command --x"
    assert trainer_title({"python": "a:b"}) == "own trainer a:b"
    assert trainer_title({"command": "env -C sub -u X A=1 python main.py --lr {lr}"}) == "own command python main.py"
    assert trainer_title({"command": ["/bin/bash", "-euc", "./train --x\nrest"]}) == "own command ./train"
    assert trainer_title({"command": ["bash", "-c", "it's"]}) == "own command bash"
    assert trainer_title({"command": ["env"]}) == "own command env"
    assert trainer_title({"command": ["bash", "run.sh"]}) == "own command bash run.sh"
    assert (
        trainer_title({"command": "torchrun --nproc_per_node 2 train.py --lr {lr}"}) == "own command torchrun train.py"
    )
    assert trainer_title({"command": "python -u -m pkg.fit {config}"}) == "own command python -m pkg.fit"
    assert trainer_title({"command": "python {study_dir}/../repo/train.py x.py"}) == "own command python train.py"
    assert trainer_title({"command": "python -m torch.distributed.run --x 2 train.py"}) == "own command python train.py"
    assert trainer_title({"command": "python {script}.py"}) == "own command python"


def test_mistakes_outside_the_trainer_are_told_as_ever(mistakes: Any) -> None:
    (line,) = mistakes(LORA.replace("path: lora.r", "path: lora r"))
    assert line.startswith("s.yaml:9: factors.rank.path: bad-name")
    (line,) = mistakes(LORA.replace("baseline: {rank: 8}", "baseline: {rank: 7}"))
    assert line.endswith("baseline.rank: unknown-name")
