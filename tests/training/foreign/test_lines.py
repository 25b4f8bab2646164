from __future__ import annotations

import pytest

from ablate.training.foreign.lines import CUT, Lines


def test_lines_come_whole_however_they_are_cut() -> None:
    text = "one\ntwo é\r\nthree\r50%\r100%\n\n  \nrest".encode()
    for size in (1, 2, 3, 7, 100):
        lines = Lines()
        found = [line for start in range(0, len(text), size) for line in lines.take(text[start : start + size])]
        assert found == ["one", "two é", "three", "50%", "100%"]
        assert lines.rest() == ["rest"]


def test_a_line_without_end_is_cut_visibly_and_holds_no_memory() -> None:
    lines = Lines(longest=10)
    for _ in range(1000):
        assert lines.take(b"x" * 1000) == []
    assert lines.take(b"y\nnext\n") == ["x" * 10 + CUT, "next"]
    assert lines.rest() == []


@pytest.mark.parametrize("data", [b"\xff\xfe\n", b"\x00\x01\n"])
def test_bytes_that_are_no_text_are_lines_too(data: bytes) -> None:
    assert len(Lines().take(data)) == 1
