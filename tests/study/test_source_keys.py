"""`source` and `replace`: what they may say, what is hashed of them, and which code the runs have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from golden_texts import worded
from repositories import commit, git, write

from ablate.study.code.provenance import codes_of
from ablate.study.code.replaced import WrongCount, replaced
from ablate.study.code.snapshot import take
from ablate.study.loader import Choices, load, load_text

STUDY = """\
study: s
recipe: {x: 1, rev: main}
trainer:
  command: python train.py --x {x} --seed {seed}
  MORE
factors: {f: {path: PATH, levels: LEVELS}}
seeds: 2
baseline: {f: BASE}
"""


def text(more: str = "", path: str = "x", levels: str = "[1, 2]", base: str = "1") -> str:
    return STUDY.replace("MORE", more).replace("PATH", path).replace("LEVELS", levels).replace("BASE", base)


def told(mistakes: list[str]) -> list[str]:
    """Key and code; the golden file has the line too."""
    return [one.partition(": ")[2] for one in mistakes]


REVISIONS = {"path": "rev", "levels": "[main, old]", "base": "main"}
GIT = "source: {git: '{rev}'}"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository with a branch `old` behind `main`; the study's folder is `exp`."""
    root = tmp_path / "project"
    commit(root, {"exp/train.py": "seed = 1\n", "exp/s.yaml": text(GIT, **REVISIONS)})
    git(root, "branch", "old")
    commit(root, {"exp/train.py": "seed = 2\n"})
    return root / "exp"


def test_absent_keys_and_a_copy_stand_nowhere_in_the_hash(read: Any) -> None:
    plain, same = read(text()), read(text("source:\n  replace:"))
    copied = read(text("source: copy"))
    assert plain.runs[0].trainer == same.runs[0].trainer == copied.runs[0].trainer
    assert sorted(plain.runs[0].trainer) == ["command", "metrics", "version"]
    assert (
        [run.run_id for run in plain.runs] == [run.run_id for run in same.runs] == [run.run_id for run in copied.runs]
    )
    assert plain.text == copied.text


def test_texts_that_are_put_in_are_hashed_as_they_are_filled_in(read: Any) -> None:
    more = (
        "replace: {train.py: {'lr = 3': 'lr = {x}', 'seed = 1': 'seed = {seed}  # {{}}', 'out': '{run_dir}', 'c': 5}}"
    )
    runs = read(text(more)).runs
    assert runs[0].trainer["replace"] == {
        "train.py": {"lr = 3": "lr = 1", "seed = 1": "seed = {seed}  # {{}}", "out": "{run_dir}", "c": "5"}
    }
    assert runs[1].trainer["replace"]["train.py"]["lr = 3"] == "lr = 2"
    assert "commit" not in runs[0].trainer
    assert len({run.run_id for run in (*runs, *read(text()).runs)}) == 8


def test_a_seed_that_is_put_in_is_a_way_to_reach_the_script(read: Any, mistakes: Any) -> None:
    bare = text("replace: {train.py: {'s': 'seed = {seed}'}}").replace(" --seed {seed}", "")
    assert len(read(bare).runs) == 4
    assert told(mistakes(bare.replace("{seed}", "{x}"))) == ["trainer.command: missing"]


def test_a_level_that_only_a_replaced_text_hears_of_is_heard(read: Any) -> None:
    bare = text("replace: {train.py: {'a': 'a = {x}'}}").replace(" --x {x}", "")
    assert [w for w in read(bare).warnings if w.code == "no-effect"] == []
    assert [w.key for w in read(bare.replace("a = {x}", "a")).warnings if w.code == "no-effect"] == ["factors.f"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("source: git", "trainer.source: wrong-value"),
        ("source: [copy]", "trainer.source: wrong-value"),
        ("source: {}", "trainer.source.git: missing"),
        ("source: {git: }", "trainer.source.git: missing"),
        ("source: {git: {rev}}", "trainer.source.git: wrong-type"),
        ("source: {commit: main}", "trainer.source.commit: unknown-key"),
        ("source: {git: '{rev'}", "trainer.source.git: bad-format"),
        ("source: {git: '{seed}'}", "trainer.source.git: unsupported"),
        ("source: {git: '{rve}'}", "trainer.source.git: unknown-field"),
        ("replace: train.py", "trainer.replace: wrong-type"),
        ("replace: {train.py: seed}", "trainer.replace.train.py: wrong-type"),
        ("replace: {train.py: {}}", "trainer.replace.train.py: missing"),
        ("replace: {/train.py: {a: b}}", "trainer.replace./train.py: bad-format"),
        ("replace: {train.py: {a: [b]}}", "trainer.replace.train.py.a: wrong-type"),
        ("replace: {train.py: {a: 'b{'}}", "trainer.replace.train.py.a: bad-format"),
        ("replace: {train.py: {a: '{lr}'}}", "trainer.replace.train.py.a: unknown-field"),
    ],
)  # fmt: skip
def test_mistakes_are_told_with_their_place(mistakes: Any, more: str, message: str) -> None:
    assert told(mistakes(text(more))) == [message]


@pytest.mark.parametrize("more", ["source: copy", "replace: {a.py: {a: b}}"])
def test_a_function_takes_none_of_them(mistakes: Any, more: str) -> None:
    given = f"study: s\ntrainer:\n  python: a:b\n  {more}\n"
    assert told(mistakes(given)) == [f"trainer.{more.partition(':')[0]}: unsupported"]


# Revisions -------------------------------------------------------------------------------------------------------------


def test_revisions_of_the_code_are_levels(project: Path) -> None:
    study = load(project / "s.yaml")
    commits = {rev: git(project, "rev-parse", rev) for rev in ("main", "old")}
    assert [arm.trainer["commit"] for arm in study.arms if arm.trainer] == [commits["main"], commits["old"]]
    assert study.commits == commits
    assert len({run.run_id for run in study.runs}) == 4


def test_a_tag_and_a_commit_mean_what_their_commit_means(project: Path) -> None:
    git(project, "tag", "-a", "v1", "-m", "one", "old")
    hex_ = git(project, "rev-parse", "old")
    ids = set()
    for rev in ("old", "v1", hex_, hex_[:9], "main~1"):
        (project / "s.yaml").write_text(text(f"source: {{git: '{rev}'}}"))
        ids.add(tuple(run.run_id for run in load(project / "s.yaml").runs))
    assert len(ids) == 1


def test_a_branch_that_moves_is_another_study_and_a_stored_one_stays(project: Path) -> None:
    before = load(project / "s.yaml")
    commit(project.parent, {"exp/train.py": "seed = 3\n"})
    after = load(project / "s.yaml")
    assert before.text != after.text
    assert [run.run_id for run in before.runs if run in after.runs] == [run.run_id for run in before.runs[1::2]]
    stored = load_text(before.source, before.file, Choices(commits=before.commits))
    assert stored.runs == before.runs
    assert load_text(before.source, "/nowhere/s.yaml", Choices(commits=before.commits)).runs == before.runs


def test_a_revision_that_is_not_there(project: Path, mistakes: Any, tmp_path: Path) -> None:
    from ablate.errors import StudyError

    for rev in ("gone", "--all", "main..old", ""):
        (project / "s.yaml").write_text(text(GIT, "rev", f"{{a: '{rev}', b: old}}", "b"))
        with pytest.raises(StudyError) as caught:
            load(project / "s.yaml")
        assert [(p.key, p.code, p.line) for p in caught.value.problems] == [("trainer.source.git", "unknown-name", 5)]
        worded(map(str, caught.value.problems), file="grammar")
    write(tmp_path / "plain", {"s.yaml": text(GIT)})
    with pytest.raises(StudyError, match="no commit or branch of a git repository"):
        load(tmp_path / "plain" / "s.yaml")


# Code ------------------------------------------------------------------------------------------------------------------


def test_the_code_of_a_snapshot_is_that_of_the_code_copied(project: Path, tmp_path: Path) -> None:
    write(project, {"train.py": "import lib\n", "lib.py": "", "other.py": ""})
    (project / "s.yaml").write_text(text("source: copy\n  watch: ['*.txt']\n  replace: {other.py: {a: b}}"))
    study = load(project / "s.yaml")
    place = take(project, tmp_path / "home").place
    assert place == tmp_path / "home" / "sources" / place.parents[1].name / "code" / "exp"
    assert codes_of(study, place) == codes_of(study)
    assert set(codes_of(study)[study.runs[0].run_id].files) == {"train.py", "lib.py", "other.py"}


def test_a_file_whose_texts_are_replaced_is_code(project: Path) -> None:
    (project / "s.yaml").write_text(text("replace: {settings.txt: {a: b}}"))
    write(project, {"settings.txt": "a"})
    study = load(project / "s.yaml")
    before = codes_of(study)
    write(project, {"settings.txt": "a, edited"})
    assert codes_of(study) != before


def test_the_code_of_a_commit_is_the_commit_whatever_lies_there(project: Path) -> None:
    study = load(project / "s.yaml")
    before = codes_of(study)
    write(project, {"train.py": "edited"})
    assert codes_of(study) == before
    assert len({code.digest for code in before.values()}) == 2


# Replacing ---------------------------------------------------------------------------------------------------------------


def test_texts_are_looked_for_in_the_file_as_it_is() -> None:
    assert replaced(b"a = 1\nb = 2\n", {"a = 1": "a = b = 2", "b = 2\n": "c = 3"}) == b"a = b = 2\nc = 3"
    assert replaced(b"if x:\r\n  y\r\n", {"x:\n  y": "z:\n  w"}) == b"if z:\r\n  w\r\n"
    assert replaced("é = 1".encode(), {"é": "ü"}) == "ü = 1".encode()


@pytest.mark.parametrize(
    ("content", "texts", "count"),
    [
        (b"seed = 1; seed = 1", {"seed = 1": ""}, 2),
        (b"aaa", {"aa": ""}, 2),
        (b"seed = 2", {"seed = 1": ""}, 0),
        (b"lr = 0.1", {"lr = 0.1": "", "0.1": ""}, None),
    ],
)
def test_a_text_that_does_not_stand_once_is_refused_with_the_count(
    content: bytes, texts: Any, count: int | None
) -> None:
    with pytest.raises(WrongCount) as caught:
        replaced(content, texts)
    assert caught.value.count == count
