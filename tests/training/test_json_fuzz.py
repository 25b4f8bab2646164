"""JSON that the trainer reads from ABLATE_HOME: a decoded data set's `meta.json`. Anything in it is used or decoded anew."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from golden_texts import raising
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ablate.errors import AblateError, BadData
from ablate.training.data import cache
from ablate.training.find_weights import _described

META = {
    "shape": [4, 3, 2, 2], "classes": ["a", "b"], "parts": {"all": [0, 4]}, "bad": [], "ignored": [], "total": 4,
    "digest": "0" * 64,
}  # fmt: skip
SCALAR = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=6)
MODEST = settings(
    max_examples=100, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip


def changed(document: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """The document with one value another scalar, or gone."""

    def change(name: str, value: Any, gone: bool) -> dict[str, Any]:
        rest = {key: item for key, item in document.items() if key != name}
        return rest if gone else {**rest, name: value}

    return st.builds(change, st.sampled_from([*document]), SCALAR, st.booleans())


@pytest.fixture
def decoded(tmp_path: Path) -> Path:
    folder = tmp_path / "decoded"
    folder.mkdir()
    (folder / "images.u8").write_bytes(bytes(4 * 3 * 2 * 2))
    for name, shape in (("labels", (4,)), ("ids", (4,)), ("sums", (4, 2, 3))):
        np.save(folder / f"{name}.npy", np.zeros(shape, np.int64))
    return folder


def opened(folder: Path, content: bytes) -> bool:
    (folder / "meta.json").write_bytes(content)
    found = cache._open(folder)
    return found is not None and tuple(found.images.shape) == (4, 3, 2, 2)


def test_a_whole_one_is_opened(decoded: Path) -> None:
    assert opened(decoded, json.dumps(META).encode())


@MODEST
@given(st.binary(max_size=40) | changed(META).map(lambda document: json.dumps(document).encode()))
def test_any_meta_json_is_used_or_decoded_anew(decoded: Path, content: bytes) -> None:
    assert opened(decoded, content) in (True, False)


@MODEST
@given(st.binary(max_size=40))
@example(b"[]")
@example(b'"text"')
def test_any_bytes_beside_weights_are_an_answer_or_an_error_of_ours(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model-last.pt"
    path.write_bytes(b"weights")
    path.with_suffix(".json").write_bytes(content)
    try:
        assert _described("a file", path, "resnet18").path == path
    except AblateError as error:
        assert str(error)


@pytest.mark.parametrize("change", [{"parts": []}, {"shape": [2**70, 3]}], ids=str)
def test_a_meta_json_of_another_shape_is_decoded_anew(decoded: Path, change: dict[str, Any]) -> None:
    assert not opened(decoded, json.dumps({**META, **change}).encode())


@pytest.mark.parametrize("change", [{"variant": 3}, {"variant": "x"}, {"classes": 3}], ids=str)
def test_a_note_of_another_shape_beside_weights_is_an_error_of_ours(tmp_path: Path, change: dict[str, Any]) -> None:
    path = tmp_path / "model-last.pt"
    path.write_bytes(b"weights")
    path.with_suffix(".json").write_text(json.dumps({"arch": "resnet18", **change}))
    with raising(BadData):
        _described("a file", path, "resnet18")


DEEP = b"[" * 200_000


def test_json_too_deep_to_read_is_none(decoded: Path, tmp_path: Path) -> None:
    assert not opened(decoded, DEEP)
    path = tmp_path / "model-last.pt"
    path.write_bytes(b"weights")
    path.with_suffix(".json").write_bytes(DEEP)
    assert _described("a file", path, "resnet18").classes is None
