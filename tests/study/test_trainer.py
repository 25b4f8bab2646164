"""`trainer:` in a study file: what it may say, what is hashed of it, and what is checked before anything runs."""

from __future__ import annotations

import hashlib
import textwrap
from pathlib import Path
from typing import Any

import pytest

from ablate.study.assign.command_words import expand, fill, holes, parse_word
from ablate.study.assign.foreign_recipe import apply_free
from ablate.study.assign.foreign_trainer import fit_name, trainer_title
from ablate.study.document.keys import METRIC, TRAINER
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
        assert run.run_id == run_id(canonical_json(run.recipe), run.seed, trainer)
        whole = {"recipe": run.recipe, "seed": run.seed, "trainer": run.trainer, "version": 1}
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
        ("trainer: x", "trainer: must be a mapping with `command` or `python`, not 'x'."),
        ("trainer: {}", "trainer: needs either `command` or `python`."),
        ("trainer: {command: x, python: a:b}", "trainer: needs either `command` or `python`."),
        ("trainer: {command: x, comand: y}", f"trainer.comand: unknown key. Did you mean 'command'? Allowed here: {', '.join(TRAINER)}."),
        ("trainer: {command: \"x 'y\"}", "trainer.command: cannot be split into words: no closing quotation."),
        ("trainer: {command: ''}", "trainer.command: names no program, as in python train.py --lr {lr} --seed {seed}."),
        ("trainer: {command: []}", "trainer.command: names no program, as in python train.py --lr {lr} --seed {seed}."),
        ("trainer: {command: {a: b}}", "trainer.command: must be a command line, or a list of words, not a mapping."),
        ("trainer: {command: [x, [y]]}", "trainer.command: must be a command line, or a list of words, not [x, [y]]."),
        ("trainer: {command: [x, '{a']}", "trainer.command.1: '{a' has a brace that is no placeholder; a placeholder is {path.in.recipe}, {seed} or {run_dir}, and a brace itself is written twice: {{ or }}."),
        ("trainer: {command: 'x {}'}", "trainer.command: '{}' has a brace that is no placeholder; a placeholder is {path.in.recipe}, {seed} or {run_dir}, and a brace itself is written twice: {{ or }}."),
        ("trainer: {python: train}", "trainer.python: must be package.module:function, not 'train'."),
        ("trainer: {python: 3}", "trainer.python: must be package.module:function, not 3."),
        ("trainer: {python: a:b, version: 1.5}", "trainer.version: must be a whole number from 0, not 1.5."),
        ("trainer: {python: a:b, version: true}", "trainer.version: must be a whole number from 0, not true."),
        ("trainer: {command: x, seed: argv}", "trainer.seed: must be env, not 'argv'; `seed: env` says that a command reads ABLATE_SEED."),
        ("trainer: {python: a:b, seed: env}", "trainer.seed: a function is handed its seed; `seed: env` says that a command reads ABLATE_SEED."),
        ("trainer: {command: x, metrics: [loss]}", "trainer.metrics: must be a mapping of names to {better: ..., pattern: ...}, not [loss]."),
        ("trainer: {command: x, metrics: {bpc: }}", "trainer.metrics.bpc: needs `better`, one of lower, higher, neither: bpc is no metric of ablate's own."),
        ("trainer: {command: x, metrics: {bpc: {better: less}}}", "trainer.metrics.bpc.better: must be one of lower, higher, neither, not 'less'."),
        ("trainer: {command: x, metrics: {bpc: {better: lower, beter: lower}}}", f"trainer.metrics.bpc.beter: unknown key. Did you mean 'better'? Allowed here: {', '.join(METRIC)}."),
        ("trainer: {command: x, metrics: {loss: {better: higher}}}", "trainer.metrics.loss.better: loss is one of ablate's own (cross-entropy without smoothing or mixup; better: lower); give yours another name."),
        ("trainer: {command: x, metrics: {'a b': {better: lower}}}", "trainer.metrics.a b: 'a b' cannot name a metric; no blank, comma, slash, parenthesis or '='."),
        ("trainer: {command: x, metrics: {epoch: {better: lower}}}", "trainer.metrics.epoch: 'epoch' cannot name a metric; no blank, comma, slash, parenthesis or '='."),
        ("trainer: {command: x, metrics: {loss: {pattern: 'a('}}}", "trainer.metrics.loss.pattern: is no regular expression: missing ), unterminated subpattern at position 1."),
        ("trainer: {command: x, metrics: {loss: {pattern: 'a'}}}", "trainer.metrics.loss.pattern: 'a' has no group for the number, as in 'val loss (\\S+)'."),
        ("trainer: {command: x, metrics: {loss: {pattern: '(?P<epoch>.)'}}}", "trainer.metrics.loss.pattern: '(?P<epoch>.)' has no group for the number, as in 'val loss (\\S+)'."),
        ("trainer: {command: x, metrics: {top1: {unit: '%'}}}", "trainer.metrics.top1.unit: must be percent, not '%'; without it a number is taken as it stands."),
        ("trainer: {python: a:b, metrics: {val_loss: {unit: percent}}}", "trainer.metrics.val_loss.unit: val_loss is one of ablate's own and no share (cross-entropy without smoothing or mixup (val))."),
        ("trainer: {python: a:b, metrics: {loss: {pattern: '(.)'}}}", "trainer.metrics.loss.pattern: is for a command's output; a function reports its numbers."),
        ("trainer: {python: a:b}\nkeep: last", "keep: is for the built-in trainer; what a trainer of your own leaves in {run_dir} stays there."),
        ("trainer: {python: a:b}\nrecipe: {a b: 1}", "recipe.a b: 'a b' is no path: names without blanks and braces, joined by dots, as in lora.r."),
        ("trainer: {python: a:b}\nrecipe: {a..b: 1}", "recipe.a..b: 'a..b' is no path: names without blanks and braces, joined by dots, as in lora.r."),
        ("trainer: {python: a:b}\nrecipe: {a: 1, a.b: 2}", "recipe.a.b: a is set to a value and to a mapping here; keep one."),
        ("trainer: {python: a:b}\nrecipe: {a.b: 2, a: 1}", "recipe.a: a is set to a value and to a mapping here; keep one."),
        ("trainer: {python: a:b}\nrecipe: {a: {b: 2}, a.b: 1}", "recipe.a.b: a.b is set twice here, nested and dotted; keep one."),
        ("trainer: {python: a:b}\nrecipe: {a: .nan}", "recipe.a: a must hold finite numbers only (found NaN)."),
        ("trainer: {python: a:b}\nrecipe: {a: [{b: .inf}]}", "recipe.a: a must hold finite numbers only (found [{b: Infinity}])."),
        ("trainer: {python: a:b}\nrecipe: [1]", "recipe: must be a mapping of settings to values, not [1]."),
    ],
)  # fmt: skip
def test_mistakes_are_told_with_their_place(mistakes: Any, text: str, message: str) -> None:
    (line,) = mistakes(f"study: s\nseeds: 1\n{text}")
    assert line.partition(": ")[2] == message


@pytest.mark.parametrize(
    ("recipe", "hole", "message"),
    [
        ("{lora: {r: 8}, lr: 1}", "lora.rr", "s.yaml:4: trainer.command: {lora.rr}: the recipe has no 'lora.rr'. Did you mean 'lora.r'? Known: lora.r, lr, seed, run_dir."),
        ("{lr: 1}", "run_dri", "s.yaml:4: trainer.command: {run_dri}: the recipe has no 'run_dri'. Did you mean 'run_dir'? Known: lr, seed, run_dir."),
        ("{lora: {r: 8, targets: [q]}}", "lora", "s.yaml:4: trainer.command: {lora} is a section; name a setting in it: lora.r, lora.targets."),
        ("{a: [[1]]}", "a", "s.yaml:4: trainer.command: {a} is [[1]], which is no word of a command."),
        ("{a: {}}", "a", "s.yaml:4: trainer.command: {a} is {}, which is no word of a command."),
        ("{seed: 3}", "seed", "s.yaml:5: recipe.seed: {seed} in the command is the run's; give this setting another name."),
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
    assert line.startswith("s.yaml:6: trainer.command.1: {lrr}: the recipe has no 'lrr'. Did you mean 'lr'?")


def test_every_arm_has_what_the_command_asks_for(mistakes: Any) -> None:
    text = one("'x {a}'", "{b: 1}", "seeds: 1\nfactors: {f: {levels: {no: , yes: {a: 3}}}}\nbaseline: {f: no}")
    (line,) = mistakes(text)
    assert line == ("s.yaml:6: trainer.command: {a}: the arm no has no such setting; give it one in `recipe`.")


def test_several_seeds_need_a_way_to_the_script(mistakes: Any, read: Any) -> None:
    (line,) = mistakes(one("x", more="seeds: 3"))
    assert line == (
        "s.yaml:4: trainer.command: the study has 3 seeds and the command no {seed}: add it, as in --seed {seed}; or say "
        "`seed: env` where the script reads ABLATE_SEED; or give the study `seeds: 1`."
    )
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
    assert "one sets lora to null and two sets lora.r to 8" in line
    assert "exclude: [{one: off, two: [8, 16]}, {one: on, two: 16}]" in line


def test_a_value_in_a_sections_place_takes_it_out() -> None:
    assert apply_free({"a.b": 1, "a.c": 2, "ab": 3}, {"a": None}) == {"ab": 3, "a": None}
    assert apply_free({"a": 1}, {"a.b": 2}) == {"a.b": 2}


def test_a_slip_in_a_profile_or_on_the_command_line_is_told(mistakes: Any, read: Any) -> None:
    (line,) = mistakes(LORA, sets=("lrr=3",))
    assert line == ("--set lrr=3: the recipe has no 'lrr'. Did you mean 'lr'? Known: lora.r, lora.targets, lr.")
    (line,) = mistakes(LORA + "profiles: {cpu: {recipe: {lora.dropout: 0}}}")
    assert line == (
        "s.yaml:12: profiles.cpu.recipe.lora.dropout: the recipe has no 'lora.dropout'. Did you mean 'lora.r'? Known: lora.r, lora.targets, lr."
    )
    (line,) = mistakes(LORA + "profiles: {cpu: {levels: {rank: {4: {x: 0}}}}}")
    assert line.startswith("s.yaml:12: profiles.cpu.levels.rank.4.x: the recipe has no 'x'.")
    study = read(LORA + "profiles: {cpu: {recipe: {lr: 5e-5}, levels: {rank: {4: {lora.r: 2}}}}}", profile="cpu", sets=("lora.targets=[o]",))  # fmt: skip
    assert study.runs[0].trainer["command"][2:8] == ["--rank", "2", "--targets", "o", "--lr", "5e-5"]


def test_arms_with_the_same_command_and_recipe_are_one_run(read: Any) -> None:
    text = one("x {a}", "{a: 1}", "seeds: 1\nfactors: {f: {levels: {p: {a: 2}, q: {a: 2}}}}\nbaseline: {f: p}")
    study = read(text)
    assert len(study.runs) == 1
    assert study.arms[1].merged_into == "p"


def test_a_factor_that_the_command_never_hears_of_is_doubted(read: Any) -> None:
    text = one("x {a}", "{a: 1, b: 2}", "seeds: 1\nfactors: {f: {path: b, levels: [2, 3]}}\nbaseline: {f: 2}")
    (warning,) = read(text).warnings
    assert warning == (
        "s.yaml:3: factors.f: sets b, and the command has no {b}: a script that does not read ABLATE_RECIPE sees no "
        "difference between its levels."
    )
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
        assert "trainer.watch: " in line
        assert "is no glob relative to the study's folder" in line
    (line,) = mistakes(LORA.replace("  metrics:", "  watch: {a: b}\n  metrics:"))
    assert "trainer.watch: must be a glob or a list of globs" in line


def test_a_program_or_watched_files_that_are_not_there_are_doubted(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text(one("python train.py {a}", "{a: 1}", "seeds: 1"))
    (warning,) = load(file).warnings
    assert "trainer.command: names train.py, which is not found from " in warning
    (tmp_path / "train.py").write_text("")
    assert load(file).warnings == ()
    file.write_text(file.read_text().replace("trainer:\n", "trainer:\n  watch: [model.py, '*.py']\n"))
    (warning,) = load(file).warnings
    assert "trainer.watch: 'model.py' matches no file in " in warning
    file.write_text("study: s\ntrainer: {python: pkg.mod:f}\nseeds: 1\n")
    (warning,) = load(file).warnings
    assert "trainer.python: is in pkg.mod, which is not found from " in warning


def test_tables_and_claims_know_the_declared_metrics(read: Any, mistakes: Any) -> None:
    tables = read(LORA + TABLES).tables
    assert tables["t"].columns == ("perplexity",)
    assert tables["t"].claims[0].metric == "perplexity"
    assert tables["u"].columns == ("perplexity", "val_perplexity", "top1")
    assert read(LORA).tables["metrics"].columns == ("perplexity",)
    (line,) = mistakes(LORA + TABLES.replace("columns: [perplexity,", "columns: [perplexty,"))
    assert "'perplexty' is no metric here. Did you mean 'perplexity'?" in line
    (line,) = mistakes((LORA + TABLES).replace("better: lower", "better: neither"))
    assert line.endswith("'8 is best': perplexity has no better and worse; compare with > or <.")


def test_a_study_cannot_start_from_weights_of_a_trainer_that_is_not_ours(mistakes: Any, tmp_path: Any) -> None:
    (tmp_path / "own.yaml").write_text(textwrap.dedent("study: own\ntrainer: {python: a:b}\n"))
    text = "study: s\nrecipe: {model.init: {study: own.yaml, arm: baseline}}"
    (line,) = mistakes(text, file=str(tmp_path / "s.yaml"))
    assert line.endswith("model.init.study: own has a trainer of its own, whose weights nobody here can load.")


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


def test_mistakes_outside_the_trainer_are_told_as_ever(mistakes: Any) -> None:
    (line,) = mistakes(LORA.replace("path: lora.r", "path: lora r"))
    assert line.startswith("s.yaml:9: factors.rank.path: 'lora r' is no path")
    (line,) = mistakes(LORA.replace("baseline: {rank: 8}", "baseline: {rank: 7}"))
    assert "rank has no level '7'" in line
