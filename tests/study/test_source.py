from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import pytest

from ablate.errors import NotFound, StudyError
from ablate.study.document import source
from ablate.study.document.source import flow_scalar, parse, read, scalar


def told(text: str) -> str:
    with pytest.raises(StudyError) as caught:
        parse(text, "s.yaml")
    return str(caught.value)


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
    assert told("a: 1\nb: 2\na: 3\n") == "s.yaml:3: a: written twice; first in line 1"
    text = "x:\n  - y: 1\n  - z:\n      k: 1\n      k: 2\n"
    assert told(text) == "s.yaml:5: x.1.z.k: written twice; first in line 4"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: !!python/object:os.system x", "the tag 'tag:yaml.org,2002:python/object:os.system' is not allowed"),
        ("a: !!int 3", "the tag 'tag:yaml.org,2002:int' is not allowed; a study file holds plain values only"),
        ("a: !x {b: 1}", "the tag '!x' is not allowed"),
        ("a: 1\n---\nb: 2", "s.yaml:2: a second document starts here; one file holds one study"),
        ("a: *x", "alias *x has no anchor before it"),
        ("a: &x [1, *x]", "alias *x contains itself"),
        ("a: &x {b: 1}\nc: {<<: *x}", "merge keys (<<) are not part of YAML 1.2; write the values out"),
        ("{[1]: 2}", "a key must be a plain word, not a list or a mapping"),
        ("a: [1", "not valid YAML: did not find expected ',' or ']'"),
        ("a: 'x", "s.yaml:1: not valid YAML: found unexpected end of stream"),
        ("a:\n\t- b", "s.yaml:2: not valid YAML: found character that cannot start any token"),
        ("", "s.yaml:1: a study file is a mapping that starts with `study: NAME`"),
        ("- a\n- b", "a study file is a mapping that starts with `study: NAME`"),
        ("just words", "a study file is a mapping that starts with `study: NAME`"),
        ("a: 1\nb: x\0y", "s.yaml:2: the character '\\x00' cannot be in a text file; save it as UTF-8 text"),
        ("a: \ud800", "the character '\\ud800' cannot be in a text file"),
        ('a: "x\\0y"', "s.yaml:1: the control character '\\x00' is not allowed in a value"),
        ("a: " + "[" * 60, "nested deeper than 40 levels"),
        ("a:\n" + "\n".join("  " * i + "- b:" for i in range(60)), "nested deeper than 40 levels"),
    ],
)  # fmt: skip
def test_what_is_no_plain_yaml_is_refused(text: str, message: str) -> None:
    assert message in told(text)


def test_depth_counts_through_aliases() -> None:
    lines = ["a0: &a0 [[[[[[[[[[1]]]]]]]]]]"]
    lines += [f"a{i}: &a{i} [[[[[[[[[[*a{i - 1}]]]]]]]]]]" for i in range(1, 500)]
    assert "nested deeper than 40 levels" in told("\n".join(lines))


def test_alias_bombs_are_counted_not_written_out() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    started = time.perf_counter()
    assert "more than 400,000 values or 4,000,000 characters once its aliases are written out" in told("\n".join(lines))
    assert time.perf_counter() - started < 30  # written out there are 9^12 of them


def test_long_values_that_aliases_repeat_are_counted_too() -> None:
    text = f"a: &x {'y' * 50_000}\nb: [{', '.join(['*x'] * 200)}]"
    assert "4,000,000 characters once its aliases are written out" in told(text)


def test_large_files_are_refused_by_their_size(tmp_path: Path) -> None:
    file = tmp_path / "big.yaml"
    with file.open("wb") as stream:
        stream.truncate(50_000_000)
    with pytest.raises(StudyError, match=r"the file has 50,000,000 bytes; at most 4,000,000 are read"):
        read(file)
    assert "the text has 4,000,001 characters; at most 4,000,000 are read" in told("#" * (source.MAX_BYTES + 1))


def test_a_file_without_an_end_is_read_no_further_than_the_limit() -> None:
    with pytest.raises(StudyError, match="at most 4,000,000 are read"):
        read(Path("/dev/zero"))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1"])
def test_other_encodings_are_refused(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "s.yaml"
    file.write_bytes("study: größe\n".encode(encoding))
    with pytest.raises(StudyError, match=r"save (it|the file) as UTF-8"):
        read(file)


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    file.write_bytes(b"\xef\xbb\xbfstudy: a\r\nabout: b\r\n")
    assert read(file).data == {"study": "a", "about": "b"}


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no such study file"):
        read(tmp_path / "no.yaml")
    with pytest.raises(NotFound, match="is a folder; name the YAML file in it"):
        read(tmp_path)
    with pytest.raises(NotFound, match="cannot be read"):
        read(tmp_path / ("x" * 300))
    with pytest.raises(NotFound, match="cannot be read"):
        read(tmp_path / "a\0b")


def test_mistakes_of_one_file_are_told_together() -> None:
    assert len(told("a: 1\na: 2\nb: 1\nb: 2\nc: !x 1\n").splitlines()) == 3
