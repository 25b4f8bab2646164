"""The pandas frame: one row a run, or a run and epoch."""

from typing import Any

import pandas as pd
import pytest
from golden_texts import raising

from ablate.analysis import frame
from ablate.errors import UsageError


@pytest.fixture
def made(maker: Any, factor: Any) -> Any:
    values = {"r18/A": [0.5, 0.6], "r18/B": [], "r50/A": [0.7], "r50/B": []}
    made = maker(
        [factor("arch", "r18", "r50"), factor("tweak", "A", "B")], values, seeds=(0, 1), merged={"r18/B": "r18/A"}
    )
    made.change("r18/A", 0, epochs={1: {"loss": 2.0, "top1": 0.4}, 2: {"loss": 1.0, "top1": 0.5}})
    return made


def test_one_row_a_run(made: Any) -> None:
    found = frame(made.study, made.results)
    assert list(found.columns) == [
        *("study", "profile", "set", "arm", "aliases", "arch", "tweak", "seed", "state"),
        *("top1", "seconds", "device", "run_id"),
    ]
    assert len(found) == 6  # three distinct arms, two seeds
    assert list(found["state"]) == ["done", "done", "done", "not run", "not run", "not run"]
    assert found.loc[0, "aliases"] == "r18/B"
    assert found["top1"].mean() == pytest.approx(0.6)
    assert pd.isna(found.loc[3, "top1"])


def test_one_row_an_epoch(made: Any) -> None:
    found = frame(made.study, made.results, by="epoch")
    assert list(found["epoch"]) == [1, 2]
    assert list(found["loss"]) == [2.0, 1.0]
    assert set(found["arm"]) == {"r18/A"}


def test_a_factor_may_be_called_like_a_column(maker: Any, factor: Any) -> None:
    made = maker(
        [factor("seed", "x", "y"), factor("loss", "ce", "mse")],
        {"x/ce": {"loss": [1.5]}},
        seeds=(7,),
    )
    found = frame(made.study, made.results)
    assert found.loc[0, "factor.seed"] == "x"
    assert found.loc[0, "seed"] == 7
    assert found.loc[0, "loss"] == "ce"
    assert found.loc[0, "metric.loss"] == 1.5


def test_another_by_is_refused(made: Any) -> None:
    with raising(UsageError):
        frame(made.study, made.results, by="arm")


def test_the_frame_reads_back_the_table(made: Any) -> None:
    from ablate.analysis import build_table

    table = build_table(made.study, made.spec(), made.results)
    means = frame(made.study, made.results).groupby(["arch", "tweak"])["top1"].mean()
    assert table.rows[0].cells["top1"].mean == pytest.approx(means["r18", "A"])
