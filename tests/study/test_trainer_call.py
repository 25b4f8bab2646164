"""`cwd`, `env`, `venv`, `shell`, `setup`, flags and what the run fills: what they may say, and what of them is hashed."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from golden_texts import coded

from ablate.study.assign.bash_line import parse_line, words_of_line
from ablate.study.assign.command_words import expand
from ablate.study.assign.foreign_trainer import options_of
from ablate.study.assign.trainer_title import trainer_title
from ablate.study.code.provenance import codes_of
from ablate.study.loader import load

ROOT = Path(__file__).resolve().parents[2]
HEAD = "study: s\nseeds: 1\n"


def trainer(read: Any, block: str, recipe: str = "{}") -> dict[str, Any]:
    (run,) = read(f"{HEAD}trainer: {block}\nrecipe: {recipe}\n").runs
    return dict(run.trainer)


@pytest.mark.parametrize(
    ("name", "ids"),
    [
        ("bigram", "8095e6f951d99d52198f8af5106364569b193d84a8e0f43509f6dfdc7682012f"),
        ("logistic", "868226edeede51037056480df24b8000dbab510f04ea47bea6795163bbc3d958"),
    ],
)
def test_the_ids_of_the_examples_stay(name: str, ids: str) -> None:
    found = sorted(run.run_id for run in load(ROOT / f"experiments/examples/{name}.yaml").runs)
    assert hashlib.sha256("\n".join(found).encode()).hexdigest() == ids


def test_a_key_that_is_absent_stands_nowhere_in_the_hashed_text(read: Any) -> None:
    plain = trainer(read, "{command: x}")
    assert plain == {"command": ["x"], "version": 1, "metrics": {}}
    nothing = "cwd: , env: , venv: , shell: , setup: , config: , checkpoint: , resume: "
    assert trainer(read, f"{{command: x, {nothing}}}") == plain
    unhashed = "venv: ../.venv, checkpoint: '{run_dir}/*.pt', resume: '--resume {checkpoint}'"
    assert trainer(read, f"{{command: x, {unhashed}}}") == plain


def test_what_is_hashed_is_filled_by_the_recipe(read: Any) -> None:
    block = (
        "{command: x, cwd: 'repos/{repo}', setup: [make, 'o={run_dir}', '{many}'],"
        " env: {A: '{lr}-{seed}', B: 1e-4, OMP_NUM_THREADS: '{threads}', TOKEN: , C: '{quiet?1|0}', D: '{quiet?1}', E: ''}}"
    )
    assert trainer(read, block, "{repo: r, lr: 1e-3, quiet: false, many: [a, b]}") == {
        "command": ["x"],
        "version": 1,
        "metrics": {},
        "cwd": "repos/r",
        "setup": ["make", "o={run_dir}", "a", "b"],
        "env": {"A": "1e-3-{seed}", "B": "1e-4", "OMP_NUM_THREADS": "{threads}", "TOKEN": None, "C": "0", "E": ""},
    }


@pytest.mark.parametrize(
    ("recipe", "words"),
    [
        ("{amp: true, bias: true}", ["x", "--amp", "--bias"]),
        ("{amp: false, bias: false}", ["x", "--no-bias"]),
        ("{amp: , bias: 0}", ["x", "--no-bias"]),
        ("{amp: 1, bias: 0.5}", ["x", "--amp", "--bias"]),
    ],
)
def test_a_flag_is_a_whole_word_kept_by_its_truth_value(read: Any, recipe: str, words: list[str]) -> None:
    for command in ("'x {amp?--amp} {bias?--bias|--no-bias}'", "[x, '{amp?--amp}', '{bias?--bias|--no-bias}']"):
        assert trainer(read, f"{{command: {command}}}", recipe)["command"] == words


def test_flags_have_empty_sides_and_blanks(read: Any) -> None:
    block = "{command: [x, '{a?|--off}', '{a?two words}', '{a?|}']}"
    assert trainer(read, block, "{a: false}")["command"] == ["x", "--off"]
    assert trainer(read, block, "{a: true}")["command"] == ["x", "two words"]


def test_what_is_offered_is_the_recipes_where_it_has_such_a_path(read: Any) -> None:
    command = "{command: 'x {port} {threads} {study_dir}'}"
    assert trainer(read, command)["command"] == ["x", "{port}", "{threads}", "{study_dir}"]
    assert trainer(read, command, "{port: 80, threads: 3}")["command"] == ["x", "80", "3", "{study_dir}"]
    assert trainer(read, "{command: 'x {config} {checkpoint}'}", "{config: a, checkpoint: b}")["command"] == [
        "x",
        "a",
        "b",
    ]


def test_the_trainers_own_key_goes_before_the_recipes_path(read: Any, tmp_path: Path) -> None:
    (tmp_path / "base.json").write_text('{"config": 1}')
    text = f"{HEAD}trainer: {{command: 'x {{config}}', config: {{file: base.json}}}}\nrecipe: {{config: 5}}"
    (run,) = read(text, file=str(tmp_path / "s.yaml")).runs
    assert run.trainer["command"] == ["x", "{config}"]
    assert run.trainer["config"] == {"file": "base.json", "paths": ["config"]}


@pytest.mark.parametrize(
    ("line", "recipe", "expected"),
    [
        ("cd {d} && ./x --lr={lr} > log", "{d: a b, lr: 1e-4}", "cd 'a b' && ./x --lr=1e-4 > log"),
        ("./x {l} --l={l}", "{l: [a, b c]}", "./x a 'b c' --l='a,b c'"),
        ("./x {v}", "{v: '$(rm -rf x); `y`'}", "./x '$(rm -rf x); `y`'"),
        ("./x {v}{v}/y", "{v: \"it's\"}", "./x 'it'\"'\"'s''it'\"'\"'s'/y"),
        ("./x {v}", "{v: ''}", "./x ''"),
        ("./x {v}", "{v: '{seed}'}", "./x '{{seed}}'"),
        ("./x {a?--amp} {a?|--no amp}", "{a: true}", "./x --amp "),
        ("./x {a?--amp} {a?|--no amp}", "{a: false}", "./x  '--no amp'"),
        ("for i in 1 2; do ./x $i \"$i\" {seed} ${{HOME}}; done # it's {{x}}", "{}", "for i in 1 2; do ./x $i \"$i\" {seed} ${{HOME}}; done # it's {{x}}"),
        ("cat <<< {v} | tee y", "{v: a b}", "cat <<< 'a b' | tee y"),
    ],
)  # fmt: skip
def test_a_line_for_bash_has_every_value_quoted(read: Any, line: str, recipe: str, expected: str) -> None:
    block = f"\n  shell: bash\n  command: |-\n    {line}"
    assert trainer(read, block, recipe) == {"command": [expected], "version": 1, "metrics": {}, "shell": "bash"}


@pytest.mark.parametrize(
    "line",
    ["'{v}'", '"{v}"', "\"a $(x {v})\"", "`x {v}`", "\\{v}", "# {v}", "cat <<E\n{v}\nE", "$'it\\'s {v}'", "x {v", "a{v?b}"],
)  # fmt: skip
def test_a_placeholder_stands_where_quoting_holds(line: str) -> None:
    with pytest.raises(ValueError, match=r"\{v"):
        parse_line(line)


def test_words_that_are_added_to_a_line_come_last_or_where_it_says() -> None:
    assert words_of_line("x") == ["bash", "-euo", "pipefail", "-c", "x"]
    assert words_of_line("x\n", ["--r", "a b"]) == ["bash", "-euo", "pipefail", "-c", 'x "$@"', "bash", "--r", "a b"]
    assert words_of_line('x "$@" | tee y', ["r"])[4:] == ['x "$@" | tee y', "bash", "r"]


def test_what_the_run_fills_into_a_line_is_quoted_then() -> None:
    assert expand(["x {run_dir}/y {seed}"], 3, "/a b", quote=lambda text: f"<{text}>") == ["x </a b>/y <3>"]


@pytest.mark.parametrize(
    ("block", "where"),
    [
        ("{command: x, cwd: /tmp}", "trainer.cwd: bad-format"),
        ("{command: x, cwd: '~/x'}", "trainer.cwd: bad-format"),
        ("{command: x, cwd: [a]}", "trainer.cwd: wrong-type"),
        ("{command: x, cwd: 'a{'}", "trainer.cwd: bad-format"),
        ("{command: x, cwd: '{rpeo}'}", "trainer.cwd: unknown-field"),
        ("{command: x, env: [A]}", "trainer.env: wrong-type"),
        ("{command: x, env: {A: [b]}}", "trainer.env.A: wrong-type"),
        ("{command: x, env: {A-B: c}}", "trainer.env.A-B: bad-name"),
        ("{command: x, env: {ABLATE_SEED: 3}}", "trainer.env.ABLATE_SEED: bad-name"),
        ("{command: x, env: {CUDA_VISIBLE_DEVICES: 0}}", "trainer.env.CUDA_VISIBLE_DEVICES: bad-name"),
        ("{command: x, env: {A: '{nope}'}}", "trainer.env.A: unknown-field"),
        ("{command: x, venv: [a]}", "trainer.venv: wrong-type"),
        ("{command: x, shell: zsh}", "trainer.shell: wrong-value"),
        ("{command: [x], shell: bash}", "trainer.command: wrong-type"),
        ("{command: ' ', shell: bash}", "trainer.command: missing"),
        ("{command: 'x \"{run_dir}\"', shell: bash}", "trainer.command: bad-format"),
        ("{command: 'x ${HOME}', shell: bash}", "trainer.command: unknown-field"),
        ("{command: x, shell: bash, setup: [y]}", "trainer.setup: wrong-type"),
        ("{command: x, setup: []}", "trainer.setup: missing"),
        ("{command: x, setup: \"a 'b\"}", "trainer.setup: bad-format"),
        ("{command: x, setup: 'x {nope}'}", "trainer.setup: unknown-field"),
        ("{command: 'x --a={f?b}'}", "trainer.command: bad-format"),
        ("{command: 'x {f?--a b}'}", "trainer.command: bad-format"),
        ("{command: 'x {seed?--s}'}", "trainer.command: wrong-type"),
        ("{command: 'x {g?--g}'}", "trainer.command: unknown-field"),
        ("{command: 'x {word?--word}'}", "trainer.command: wrong-type"),
        ("{command: 'x {config}'}", "trainer.command: missing"),
        ("{command: 'x {checkpoint}'}", "trainer.command: missing"),
        ("{command: x, checkpoint: '{run_dir}/*.pt'}", "trainer.checkpoint: missing"),
        ("{command: x, resume: --resume}", "trainer.resume: missing"),
        ("{command: x, resume: --resume, checkpoint: 'ckpt/*.pt'}", "trainer.checkpoint: bad-format"),
        ("{command: x, resume: '{word}', checkpoint: '{run_dir}/x'}", "trainer.resume: unknown-field"),
        ("{command: x, resume: '{word?a}', checkpoint: '{run_dir}/x'}", "trainer.resume: unknown-field"),
        ("{command: x, resume: r, checkpoint: '{run_dir}/{word}'}", "trainer.checkpoint: unknown-field"),
        ("{python: a:b, cwd: x}", "trainer.cwd: unsupported"),
        ("{python: a:b, venv: x}", "trainer.venv: unsupported"),
        ("{python: a:b, config: {file: x.yaml}}", "trainer.config: unsupported"),
    ],
)  # fmt: skip
def test_mistakes_are_told_with_their_place(mistakes: Any, block: str, where: str) -> None:
    first, *_ = mistakes(f"{HEAD}trainer: {block}\nrecipe: {{f: true, word: off}}\n")
    assert first.partition(": ")[2] == where


def test_a_seed_reaches_the_script_by_env_or_config_too(read: Any, mistakes: Any, tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("seed: 1\n")
    text = "study: s\nseeds: 3\ntrainer: {command: x, MORE}\n"
    assert len(read(text.replace("MORE", "env: {S: '{seed}'}")).runs) == 3
    set_there = text.replace("MORE", "config: {file: base.yaml, set: {seed: '{seed}'}}")
    assert len(read(set_there, file=str(tmp_path / "s.yaml")).runs) == 3
    (line,) = mistakes(text.replace("MORE", "env: {S: 1}"))
    assert line == "s.yaml:3: trainer.command: missing"


def test_a_setting_that_env_flags_or_setup_name_is_heard(read: Any) -> None:
    text = f"{HEAD}trainer: {{command: x, MORE}}\nrecipe: {{b: true}}\nfactors: {{f: {{path: b, levels: [true, false]}}}}\nbaseline: {{f: true}}"
    for more in ("env: {B: '{b}'}", "setup: 'x {b?--b}'", "cwd: 'x{b}'"):
        assert read(text.replace("MORE", more)).warnings == ()
    (warning,) = coded(read(text.replace("MORE", "version: 2")).warnings)
    assert "factors.f: no-effect" in warning


def test_what_is_not_here_is_doubted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MY_TOKEN", raising=False)
    file = tmp_path / "s.yaml"
    file.write_text(f"{HEAD}trainer: {{command: x, cwd: repo, venv: ./env, env: {{MY_TOKEN: }}}}\n")
    warnings = coded(load(file).warnings)
    assert [line.rpartition("s.yaml:3: ")[2] for line in warnings] == [
        "trainer.cwd: absent-file",
        "trainer.venv: absent-file",
        "trainer.env.MY_TOKEN: missing",
    ]
    (tmp_path / "repo").mkdir()
    (tmp_path / "env/bin").mkdir(parents=True)
    monkeypatch.setenv("MY_TOKEN", "t")
    assert load(file).warnings == ()


def test_the_code_is_found_from_where_the_command_runs(tmp_path: Path) -> None:
    for name, text in {
        "train.py": "", "repo/train.py": "import model\nimport lib\n", "repo/model.py": "", "src/lib.py": "", "repo/prep.sh": "python other.py\n",
        "repo/other.py": "", "base.yaml": "a: 1\n", "c.json": "{}",
    }.items():  # fmt: skip
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    file = tmp_path / "s.yaml"

    def files(block: str) -> list[str]:
        file.write_text(f"{HEAD}trainer: {block}\n")
        (code,) = codes_of(load(file)).values()
        return sorted(code.files)

    assert files("{command: python train.py}") == ["train.py"]
    assert files("{command: python train.py, cwd: repo}") == ["repo/model.py", "repo/train.py"]
    assert files("{command: python train.py, cwd: repo, env: {PYTHONPATH: ../src}}") == [
        "repo/model.py",
        "repo/train.py",
        "src/lib.py",
    ]
    assert files("{command: python train.py, env: {C: c.json}}") == ["c.json", "train.py"]
    assert files("{command: python train.py, config: {file: base.yaml}, cwd: '{run_dir}'}") == ["base.yaml", "train.py"]
    assert files("{command: python train.py, setup: bash repo/prep.sh}") == [
        "repo/other.py",
        "repo/prep.sh",
        "train.py",
    ]
    assert files("{command: python train.py, setup: bash prep.sh, cwd: repo}") == [
        "repo/model.py",
        "repo/other.py",
        "repo/prep.sh",
        "repo/train.py",
    ]
    assert files("{command: 'cd repo && python train.py | tee {run_dir}/log', shell: bash}") == [
        "repo/model.py",
        "repo/train.py",
    ]
    assert files("{command: 'python {study_dir}/train.py', cwd: repo}") == ["train.py"]


def test_what_an_execution_is_told_and_what_a_study_is_called() -> None:
    assert options_of(None) == options_of({"command": "x", "venv": None}) == {}
    assert options_of({"command": "x", "venv": "v", "checkpoint": "c", "resume": ["r"]}) == {
        "venv": "v",
        "checkpoint": "c",
        "resume": ["r"],
    }
    assert (
        trainer_title({"command": "python train.py --lr {lr} | tee x", "shell": "bash"})
        == "own command python train.py"
    )
