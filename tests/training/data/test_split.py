"""Splits and subsets: stratified, disjoint, nested, the same in every arm, kept by sample id."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from golden_texts import raising
from hypothesis import given, settings
from hypothesis import strategies as st

from ablate.errors import BadData, NoSpaceOrPermission
from ablate.training.data import split as split_module
from ablate.training.data.cache import Decoded
from ablate.training.data.split import part_sizes, saved_rows, split_rows, subset


def decoded(
    labels: list[int] | np.ndarray, parts: dict[str, tuple[int, int]] | None = None, ids: np.ndarray | None = None
) -> Decoded:
    labels = np.asarray(labels, dtype=np.int64)
    size = len(labels)
    return Decoded(
        images=torch.zeros(size, 3, 1, 1, dtype=torch.uint8),
        labels=labels,
        ids=np.arange(size) if ids is None else ids,
        sums=np.zeros((size, 2, 3), dtype=np.int64),
        classes=tuple(f"c{n}" for n in range(labels.max() + 1)),
        parts=parts or {"all": (0, size)},
        bad=(),
        total=size,
        digest="0123456789abcdef" * 4,
        folder=None,
    )


LABELS = np.repeat(np.arange(5), [40, 31, 100, 7, 3])
SPLITS: list[dict[str, float]] = [
    {"train": 0.8, "val": 0.2},
    {"train": 0.64, "val": 0.16, "test": 0.2},
    {"train": 0.5, "test": 0.5},
]


@pytest.mark.parametrize("spec", SPLITS)
def test_parts_are_disjoint_whole_and_stratified(spec: dict[str, float]) -> None:
    rows = split_rows(decoded(LABELS), spec, 0, "x")
    assert list(rows) == list(spec)
    assert sorted(np.concatenate(list(rows.values()))) == list(range(len(LABELS)))
    for part, share in spec.items():
        counts = np.bincount(LABELS[rows[part]], minlength=5)
        assert (counts >= 1).all()
        assert (np.abs(counts - share * np.bincount(LABELS)) <= 1).all()


def test_each_image_is_drawn_as_often_as_another() -> None:
    data = decoded(np.repeat([0, 1], 10))
    drawn = np.zeros(20)
    for seed in range(400):
        drawn[split_rows(data, {"train": 0.8, "val": 0.2}, seed, "x")["val"]] += 1
    assert (np.abs(drawn / 400 - 0.2) < 0.08).all()  # 4 standard errors


def test_the_seed_draws_the_split() -> None:
    one, same, other = (split_rows(decoded(LABELS), SPLITS[0], seed, "x")["val"].tolist() for seed in (0, 0, 1))
    assert one == same
    assert one != other


def test_an_absent_image_moves_no_other_class() -> None:
    whole = split_rows(decoded(LABELS), SPLITS[0], 0, "x")["val"]
    left = np.delete(np.arange(len(LABELS)), 3)
    without = split_rows(decoded(LABELS[left], ids=left), SPLITS[0], 0, "x")["val"]
    other_classes = LABELS > 0
    assert {r for r in whole.tolist() if other_classes[r]} == {r for r in left[without].tolist() if other_classes[r]}


def test_val_is_cut_from_the_official_training_images() -> None:
    labels = np.tile([0, 1], 30)
    rows = split_rows(
        decoded(labels, {"train": (0, 40), "val": (40, 50), "test": (50, 60)}), {"val": 0.1, "test": "official"}, 0, "x"
    )
    assert rows["test"].tolist() == list(range(50, 60))
    assert len(rows["val"]) == 4
    assert sorted([*rows["train"], *rows["val"]]) == list(range(40))


def test_fractions_of_an_official_set_take_all_images() -> None:
    rows = split_rows(decoded(np.tile([0, 1], 30), {"train": (0, 40), "test": (40, 60)}), SPLITS[0], 0, "x")
    assert len(rows["train"]) + len(rows["val"]) == 60


@pytest.mark.parametrize(("labels", "text"), [([0, 0, 0, 1], "c1 (1)"), ([0, 1, 1, 2, 2, 3], "c0 (1), c3 (1)")])
def test_a_class_that_is_too_small_is_named(labels: list[int], text: str) -> None:
    with raising(BadData):
        split_rows(decoded(labels), {"train": 0.5, "val": 0.5}, 0, "pets")


shares = st.lists(st.floats(0.01, 1), min_size=2, max_size=3).map(lambda s: [x / sum(s) for x in s])


@given(st.integers(3, 10_000), shares)
def test_part_sizes_add_up_and_none_is_empty(count: int, parts: list[float]) -> None:
    sizes = part_sizes(count, parts)
    assert sum(sizes) == count
    assert min(sizes) >= 1
    for size, share in zip(sizes, parts, strict=True):
        assert abs(size - count * share) < 1 or size == 1 or 1 in sizes


def test_part_sizes_by_example() -> None:
    assert part_sizes(10, [0.8, 0.2]) == [8, 2]
    assert part_sizes(31, [0.8, 0.2]) == [25, 6]
    assert part_sizes(3, [0.8, 0.1, 0.1]) == [1, 1, 1]
    assert part_sizes(100, [0.7, 0.1, 0.2]) == [70, 10, 20]


@settings(max_examples=60)
@given(st.lists(st.integers(1, 30), min_size=2, max_size=6), st.integers(0, 5), st.data())
def test_subsets_are_nested_and_stratified(counts: list[int], seed: int, data: Any) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    whole = decoded(labels)
    train = np.arange(len(labels))
    small, large = sorted(data.draw(st.lists(st.integers(1, len(labels)), min_size=2, max_size=2)))
    inner, outer = (subset(train, whole, seed, 1.0, limit) for limit in (small, large))
    assert set(inner.tolist()) <= set(outer.tolist())
    assert (len(inner), len(outer)) == (small, large)
    held = np.bincount(labels[inner], minlength=len(counts))
    assert (np.abs(held - small * np.array(counts) / len(labels)) <= 1.0 + len(counts) / np.array(counts).min()).all()
    if small >= len(counts):
        assert (held >= 1).all()


def test_a_subset_is_within_one_image_a_class_of_proportion_where_classes_are_even() -> None:
    labels = np.tile(np.arange(10), 50)
    for limit in (10, 73, 250, 499):
        held = np.bincount(labels[subset(np.arange(500), decoded(labels), 0, 1.0, limit)])
        assert (np.abs(held - limit / 10) < 1).all()


def test_fraction_and_limit_are_cuts_of_one_ranking() -> None:
    data, train = decoded(LABELS), np.arange(len(LABELS))
    half = subset(train, data, 0, 0.5, None)
    assert len(half) == 91  # 90.5, rounded half up
    assert subset(train, data, 0, 1.0, 91).tolist() == half.tolist()
    assert subset(train, data, 0, 0.5, 500).tolist() == half.tolist()
    assert set(subset(train, data, 0, 0.5, 20).tolist()) <= set(half.tolist())
    assert subset(train, data, 1, 0.5, None).tolist() != half.tolist()
    assert subset(train, data, 0, 1.0, None) is train


def test_saved_splits_hold_sample_ids_and_are_used_again(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = np.arange(len(LABELS)) * 3
    rows, name = saved_rows(decoded(LABELS, ids=ids), SPLITS[0], 0, "x", home)
    assert name is not None
    with np.load(home / "splits" / name) as saved:
        assert saved["val"].tolist() == ids[rows["val"]].tolist()
        assert str(saved["split"]) == '[{"train": 0.8, "val": 0.2}, 0]'
    monkeypatch.setattr(split_module, "draws", lambda ids, seed: 1 / 0)
    again, _ = saved_rows(decoded(LABELS, ids=ids), SPLITS[0], 0, "x", home)
    assert {part: r.tolist() for part, r in again.items()} == {part: r.tolist() for part, r in rows.items()}
    assert [path.name for path in (home / "splits").iterdir()] == [name]


@pytest.mark.parametrize("content", [b"", b"broken", None])
def test_a_broken_or_foreign_split_is_drawn_again(home: Path, content: bytes | None) -> None:
    rows, name = saved_rows(decoded(LABELS), SPLITS[0], 0, "x", home)
    assert name is not None
    path = home / "splits" / name
    if content is None:
        with np.load(path) as saved:
            np.savez(path, **{**saved, "train": np.array([999])})
    else:
        path.write_bytes(content)
    again, _ = saved_rows(decoded(LABELS), SPLITS[0], 0, "x", home)
    assert again["val"].tolist() == rows["val"].tolist()


def test_an_official_split_is_not_saved(home: Path) -> None:
    rows, name = saved_rows(decoded(np.tile([0, 1], 5), {"train": (0, 6), "test": (6, 10)}), "official", 0, "x", home)
    assert name is None
    assert rows["test"].tolist() == [6, 7, 8, 9]
    assert not home.exists()


def test_splits_that_cannot_be_saved(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    with raising(NoSpaceOrPermission):
        saved_rows(decoded(LABELS), SPLITS[0], 0, "x", tmp_path / "home")
