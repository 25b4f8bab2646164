"""Which code a result came from."""

from __future__ import annotations

import pytest

from ablate.study import provenance


def test_code_outside_a_repository_has_no_commit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "_git", lambda *arguments: None)
    found = provenance.code_version.__wrapped__()
    assert (found["commit"], found["dirty"]) == (None, None)
    assert len(found["code"]) == 64
