"""Which code a result came from."""

from __future__ import annotations

from pathlib import Path

import pytest

from ablate.study import provenance


def test_code_outside_a_repository_has_no_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "_git", lambda *arguments: None)
    found = provenance.code_version.__wrapped__()
    assert (found["commit"], found["dirty"]) == (None, None)
    assert len(found["code"]) == 64


def test_comments_docstrings_and_layout_are_not_code() -> None:
    bare = "def f(x):\n    return x + 1\n"
    dressed = '"""A module."""\n\n\ndef f(x):\n    """Adds."""\n    # one\n    return (x\n            + 1)\n'
    assert provenance._meaning(bare) == provenance._meaning(dressed)
    assert provenance._meaning(bare) != provenance._meaning(bare.replace("1", "2"))


def test_only_what_the_trainer_imports_can_age_a_result(tmp_path: Path) -> None:
    package = tmp_path / "ablate"
    (package / "training").mkdir(parents=True)
    (package / "training" / "__init__.py").write_text("")
    (package / "training" / "trainer.py").write_text("from ablate.training import loop\nimport ablate.study.run\n")
    (package / "training" / "loop.py").write_text("from ablate.training.losses import Objective\n")
    (package / "training" / "losses.py").write_text("")
    (package / "training" / "predict.py").write_text("from ablate.training import trainer\n")
    reached = [path.name for path in provenance._reached(package, "training.trainer")]
    assert reached == ["__init__.py", "loop.py", "losses.py", "trainer.py"]


def test_the_networks_the_data_and_the_refinements_are_code_of_the_trainer() -> None:
    package = Path(provenance.__file__).parents[1]
    reached = {path.relative_to(package).as_posix() for path in provenance._reached(package, provenance.TRAINER)}
    assert {
        "training/models/resnet.py",
        "training/models/small.py",
        "training/data/augment.py",
        "training/data/color.py",
        "training/data/folders.py",
        "training/refinements/mixup.py",
        "training/loop.py",
    } <= reached
