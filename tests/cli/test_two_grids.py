"""Two `ablate grid run` of one study at the same time, with the real trainer."""

from __future__ import annotations

from pathlib import Path

import pytest

from ablate.store.store import Store


@pytest.mark.slow
def test_two_grid_runs_train_each_run_once(start, call, url: str, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ABLATE_DB", url)
    grids = [start("grid", "run", tiny, "--workers", "1", "--threads", "1") for _ in range(2)]
    for grid in grids:
        out, err = grid.communicate(timeout=300)
        assert grid.returncode == 0, err
        assert "smooth" in out  # both print the whole table
    with Store.open(url, read_only=True) as store:
        runs = store.list_runs()
        assert [(run.state, len(run.attempts)) for run in runs] == [("done", 1)] * 4
        assert store.check() == []
    assert call("status", "tiny").out.startswith("tiny: 4 of 4 runs done")
