"""Where things lie: empty variables, and homes that nobody knows."""

from __future__ import annotations

from pathlib import Path

import pytest
from golden_texts import raising

from ablate.errors import UsageError
from ablate.study.recipes import places


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in (places.HOME, places.DATA, places.DATABASE):
        monkeypatch.setenv(name, "")
    assert places.home() == tmp_path / ".cache" / "ablate"
    assert places.data_root() == Path("data")
    assert places.database() == "results.db"


@pytest.mark.parametrize(
    ("name", "ask"),
    [(places.HOME, places.home), (places.DATA, places.data_root)],
)
def test_a_user_whom_nobody_knows_is_told_in_words(monkeypatch: pytest.MonkeyPatch, name: str, ask) -> None:
    monkeypatch.setenv(name, "~no-such-user/x")
    with raising(UsageError):
        ask()


def test_without_a_home_folder_the_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(self: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv(places.HOME, raising=False)
    monkeypatch.setattr(Path, "expanduser", unknown)
    with raising(UsageError):
        places.home()


def test_a_file_that_begins_with_a_tilde_is_named_with_its_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert places.expand("~/x", "it") == tmp_path / "x"
    assert places.expand("./~/x", "it") == Path("~/x")
    assert places.written_out(Path("~no-such-user/x")) == Path("~no-such-user/x")
