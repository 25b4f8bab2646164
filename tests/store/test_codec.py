from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ablate.store.codec import chunks, clean, number, to_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=10,
)


@given(VALUES)
def test_any_value_becomes_canonical_json_without_nan(value: Any) -> None:
    text = to_json(value)
    read = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} in JSON"))
    assert to_json(read) == text
    assert "\\u0000" not in text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": (1, 2.5), "a": None}, '{"a":null,"b":[1,2.5]}'),
        ([math.nan, math.inf, -0.0], "[null,null,-0.0]"),
        ({"path": Path("a/b"), 3: {"x"}}, '{"3":["x"],"path":"a/b"}'),
        (b"\x00", "\"b'\\\\x00'\""),
    ],
)
def test_what_json_does_not_know(value: Any, text: str) -> None:
    assert to_json(value) == text


@given(st.text())
def test_clean_text_can_be_stored(text: str) -> None:
    assert "\x00" not in clean(text)
    assert clean(clean(text)) == clean(text)
    clean(text).encode("utf-8")


def test_long_text_keeps_both_ends() -> None:
    text = clean("start" + "x" * 1_000 + "end", 100)
    assert text.startswith("startxxx")
    assert text.endswith("xxxend")
    assert "[... 908 characters left out ...]" in text


@pytest.mark.parametrize(("value", "kept"), [(1, 1.0), (True, 1.0), (math.nan, None), (-math.inf, None), (None, None)])
def test_numbers(value: Any, kept: float | None) -> None:
    assert number(value) == kept


def test_chunks_hold_everything_once() -> None:
    assert [list(part) for part in chunks([1, 2, 3, 4, 5], 2)] == [[1, 2], [3, 4], [5]]
    assert list(chunks([])) == []
