from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import pytest
from golden_texts import coded, raising

from ablate.errors import NotFound, StudyError
from ablate.study.document import source
from ablate.study.document.source import flow_scalar, parse, read, scalar


def refused(file: Path) -> str:
    with pytest.raises(StudyError) as caught:
        read(file)
    return "\n".join(coded(caught.value.problems))


def told(text: str) -> str:
    with pytest.raises(StudyError) as caught:
        parse(text, "s.yaml")
    return "\n".join(coded(caught.value.problems))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4), ("1E+3", 1000.0), (".5", 0.5), ("5.", 5.0), ("-3", -3), ("+3", 3), ("0o17", 15), ("0x1f", 31),
        ("007", 7), ("1_000", "1_000"), ("0b11", "0b11"), ("12:30:45", "12:30:45"), ("2024-01-01", "2024-01-01"),
        ("on", "on"), ("off", "off"), ("no", "no"), ("yes", "yes"), ("y", "y"), ("true", True), ("False", False),
        ("null", None), ("~", None), ("", None), (".inf", math.inf), ("-.INF", -math.inf), ("+.Inf", math.inf),
        ("1e", "1e"), (".", "."), ("-", "-"), ("1.2.3", "1.2.3"), ("=", "="),
    ],
)  # fmt: skip
def test_scalars_are_those_of_yaml_1_2(text: str, value: Any) -> None:
    found = scalar(text)
    assert found == value
    assert type(found) is type(value)


def test_nan_is_a_number_and_quoted_scalars_are_text() -> None:
    assert math.isnan(scalar(".nan"))
    assert parse("a: '1e-4'\nb: \"true\"\nc: 1e-4\nd: ! 5\n").data == {"a": "1e-4", "b": "true", "c": 1e-4, "d": "5"}


def test_keys_are_always_text() -> None:
    assert parse("1: a\ntrue: b\nnull: c\n0.90: d\n").data == {"1": "a", "true": "b", "null": "c", "0.90": "d"}


def test_scalars_keep_their_text() -> None:
    document = parse("a: [0.90, '0.90', 1e-4]\nb: {c: 007}\n")
    assert [document.scalar_text(("a", i)) for i in range(3)] == ["0.90", "0.90", "1e-4"]
    assert document.scalar_text(("b", "c")) == "007"
    assert document.scalar_text(("b",)) == document.scalar_text(("nowhere", 3)) == ""


def test_lines_are_those_of_keys_and_of_items() -> None:
    document = parse("a: 1\nb:\n  c:\n    - x\n    - y\n  d: {e: 1,\n      f: 2}\n")
    places = {("a",): 1, ("b",): 2, ("b", "c"): 3, ("b", "c", 1): 5, ("b", "d", "f"): 7, ("b", "gone"): 2, ("gone",): 1}
    assert {key: document.line(key) for key in places} == places


def test_aliases_are_written_out() -> None:
    assert parse("a: &x {b: [1, 2]}\nc: *x\n").data == {"a": {"b": [1, 2]}, "c": {"b": [1, 2]}}


def test_flow_writes_what_stands_there() -> None:
    document = parse("a:\n  tweak: [C, D]\n  lr: {not: 1e-4}\n  odd: 'a: b'\n")
    assert document.flow(("a",)) == "{tweak: [C, D], lr: {not: 1e-4}, odd: 'a: b'}"
    assert document.flow(("b",)) == ""


@pytest.mark.parametrize("name", ["c+l", "1e-4", "-5", "-", "it's", "#1", "a:b", "*x", "&x", "!x", "%", "[", "", "@a"])
def test_a_flow_scalar_reads_back_as_itself(name: str) -> None:
    document = parse(f"a: [{{k: {flow_scalar(name)}}}]")
    assert document.scalar_text(("a", 0, "k")) == name


def test_duplicate_keys_say_both_lines_and_the_whole_key() -> None:
    assert told("a: 1\nb: 2\na: 3\n") == "s.yaml:3: a: duplicate"
    text = "x:\n  - y: 1\n  - z:\n      k: 1\n      k: 2\n"
    assert told(text) == "s.yaml:5: x.1.z.k: duplicate"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: !!python/object:os.system x", 'bad-yaml'),
        ("a: !!int 3", 'bad-yaml'),
        ("a: !x {b: 1}", 'bad-yaml'),
        ("a: 1\n---\nb: 2", 's.yaml:2: bad-yaml'),
        ("a: *x", 'bad-yaml'),
        ("a: &x [1, *x]", 'bad-yaml'),
        ("a: &x {b: 1}\nc: {<<: *x}", 'bad-yaml'),
        ("{[1]: 2}", 'bad-yaml'),
        ("a: [1", 'bad-yaml'),
        ("a: 'x", 's.yaml:1: bad-yaml'),
        ("a:\n\t- b", 's.yaml:2: bad-yaml'),
        ("", 's.yaml:1: bad-yaml'),
        ("- a\n- b", 'bad-yaml'),
        ("just words", 'bad-yaml'),
        ("a: 1\nb: x\0y", 's.yaml:2: bad-yaml'),
        ("a: \ud800", 'bad-yaml'),
        ('a: "x\\0y"', 's.yaml:1: bad-yaml'),
        ("a: " + "[" * 60, 'bad-yaml'),
        ("a:\n" + "\n".join("  " * i + "- b:" for i in range(60)), 'bad-yaml'),
    ],
)  # fmt: skip
def test_what_is_no_plain_yaml_is_refused(text: str, message: str) -> None:
    assert message in told(text)


def test_depth_counts_through_aliases() -> None:
    lines = ["a0: &a0 [[[[[[[[[[1]]]]]]]]]]"]
    lines += [f"a{i}: &a{i} [[[[[[[[[[*a{i - 1}]]]]]]]]]]" for i in range(1, 500)]
    assert "bad-yaml" in told("\n".join(lines))


def test_alias_bombs_are_counted_not_written_out() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    started = time.perf_counter()
    assert "bad-yaml" in told("\n".join(lines))
    assert time.perf_counter() - started < 30  # written out there are 9^12 of them


def test_long_values_that_aliases_repeat_are_counted_too() -> None:
    text = f"a: &x {'y' * 50_000}\nb: [{', '.join(['*x'] * 200)}]"
    assert "s.yaml:1: bad-yaml" in told(text)


def test_large_files_are_refused_by_their_size(tmp_path: Path) -> None:
    file = tmp_path / "big.yaml"
    with file.open("wb") as stream:
        stream.truncate(50_000_000)
    assert refused(file).endswith("big.yaml: bad-yaml")
    assert "bad-yaml" in told("#" * (source.MAX_BYTES + 1))


def test_a_file_without_an_end_is_read_no_further_than_the_limit() -> None:
    assert refused(Path("/dev/zero")) == "/dev/zero: bad-yaml"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1"])
def test_other_encodings_are_refused(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "s.yaml"
    file.write_bytes("study: größe\n".encode(encoding))
    assert refused(file).endswith(": bad-yaml")


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_bytes(b"\xef\xbb\xbfstudy: a\r\nabout: b\r\n")
    assert read(file).data == {"study": "a", "about": "b"}


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with raising(NotFound, code="absent-study"):
        read(tmp_path / "no.yaml")
    with raising(NotFound):
        read(tmp_path)
    with pytest.raises(NotFound, match="cannot be read"):
        read(tmp_path / ("x" * 300))
    with pytest.raises(NotFound, match="cannot be read"):
        read(tmp_path / "a\0b")


def test_mistakes_of_one_file_are_told_together() -> None:
    assert len(told("a: 1\na: 2\nb: 1\nb: 2\nc: !x 1\n").splitlines()) == 3
