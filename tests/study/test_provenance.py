"""Which code a result came from."""

from __future__ import annotations

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
