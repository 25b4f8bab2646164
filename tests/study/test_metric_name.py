from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ablate.study.values.metrics import SPLITS, MetricName

WORDS = st.text("abz_/.é0", min_size=1)


@pytest.mark.parametrize(
    ("text", "split", "name"),
    [
        ("val_top1", "val", "top1"),
        ("train_loss", "train", "loss"),
        ("test_mean_class_accuracy", "test", "mean_class_accuracy"),
        ("val_val_top1", "val", "val_top1"),
        ("top1", None, "top1"),
        ("mean_class_accuracy", None, "mean_class_accuracy"),
        ("eval_loss", None, "eval_loss"),
        ("VAL_loss", None, "VAL_loss"),
        ("val/loss", None, "val/loss"),
        ("val_top/5", "val", "top/5"),
        ("val", None, "val"),
        ("val_", None, "val_"),
        ("_val_loss", None, "_val_loss"),
        ("", None, ""),
    ],
)
def test_parse(text: str, split: str | None, name: str) -> None:
    assert MetricName.parse(text) == MetricName(split, name)


@given(st.text() | st.builds("_".join, st.lists(st.sampled_from((*SPLITS, "", "top1", "a/b")))))
def test_every_text_comes_back(text: str) -> None:
    assert str(MetricName.parse(text)) == text


@given(st.sampled_from(SPLITS), WORDS)
def test_every_name_on_a_split_comes_back(split: str, name: str) -> None:
    assert MetricName.parse(str(MetricName(split, name))) == MetricName(split, name)


def test_a_split_is_given_to_names_that_name_none() -> None:
    assert MetricName.parse("loss", "val") == MetricName("val", "loss")
    assert MetricName.parse("train_loss", "val") == MetricName("train", "loss")


def test_inside_a_split_its_own_metrics_have_no_prefix() -> None:
    name = MetricName("val", "top1")
    assert (name.inside("val"), name.inside("test"), name.inside(None)) == ("top1", "val_top1", "val_top1")
    assert [MetricName(None, "top1").inside(split) for split in (None, "val")] == ["top1", "top1"]
