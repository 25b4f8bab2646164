"""A number that a script printed is read exactly, or the run fails. It is never another number."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from golden_texts import raising
from hypothesis import given, settings
from hypothesis import strategies as st

from ablate.errors import Diverged, RunFailure
from ablate.study.records import Context
from ablate.study.values.run import Run
from ablate.training.foreign.measured import Measured
from ablate.training.foreign.number import AFTER, COMMA, OF, Unreadable, number_at
from ablate.training.foreign.output import Output

NUMBER_PATTERNS = (
    r"([0-9.]+)",
    r"(\S+)",
    r"([-+0-9.eE]+)",
    r"(\d+\.?\d*)",
    r"(\d+\.\d+)",
    r"(-?\d+\.\d{3})",
    r"(.*)",
    r"(\d+)",
    r"([\d,.]+)",
)
PATTERNS = tuple(
    before + number + after
    for number in NUMBER_PATTERNS
    for before, after in (("val loss ", ""), ("val loss:? *", ""), (r"loss\D*?", ""), ("val loss ", ".*"), ("val loss ", r"\D*$"), ("loss ", ","), (r"loss.*?", r"\b"))
)  # fmt: skip


def grouped(value: float, mark: str, point: str = ".") -> str:
    return f"{value:,.2f}".replace(",", "\0").replace(".", point).replace("\0", mark)


def wrapped(before: str, after: str) -> Callable[[float], str]:
    return lambda value: f"{before}{value!r}{after}"


def marked(form: str) -> Callable[[float], str]:
    return lambda value: format(value, form)


FORMATS: dict[str, Callable[[float], str]] = {
    "repr": repr,
    **{form: marked(form) for form in ("g", "e", "E", ".3f", ".1f", ".0f", "+.3f", "+g", ".2e", ".12g", "#.0f", " .3f", "08.3f", "010.3e")},
    "float.hex": float.hex,
    "no zero": lambda value: f"{value:.3f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:.3f}",
    "thousands": marked(",.2f"),
    "thousands, whole": marked(",.0f"),
    "underscores": marked("_.2f"),
    "underscores, whole": marked("_.0f"),
    "apostrophes": lambda value: grouped(value, "'"),
    "narrow blanks": lambda value: grouped(value, "\u202f"),
    "German": lambda value: grouped(value, ".", ","),
    "French": lambda value: grouped(value, "\u00a0", ","),
    "decimal comma": lambda value: f"{value:.4f}".replace(".", ","),
    "percent": marked(".2%"),
    "unicode minus": lambda value: f"{value:.3f}".replace("-", "−"),
    "hyphen": lambda value: f"{value:.3f}".replace("-", "‐"),
    "Fortran": lambda value: f"{value:.6e}".replace("e", "d"),
    "Fortran, large": lambda value: f"{value:.6e}".replace("e", "D"),
    "hexadecimal": lambda value: hex(int(value) % 10**9),
    "truncated": lambda value: f"{value:.2f}...",
    "ellipsis": lambda value: f"{value:.2f}…",
    **{f"unit {unit}": wrapped("", unit) for unit in ("k", "M", "s", "ms", "GB", "x", "%/s", "e", "°", "it/s", "‰")},
    **{f"wrapped {a}{b}": wrapped(a, b) for a, b in (("(", ")"), ("[", "]"), ("'", "'"), ('"', '"'), ("`", "`"), ("[[", "]]"), ("<", ">"), ("~", ""), ("≈", ""), ("=", ""), ("$", ""), ("*", "*"), ("**", "**"))},
    **{f"followed by {end}": wrapped("", end) for end in (".", ",", ";", ":", "!", "|", "/1.0", "/10", ":10", "-5", "+5", "±0.1", "+-0.1", "^2", "*2", ",5", ", 5", "[1]", "(3)", "_5", ".5")},
    **{f"preceded by {begin}": wrapped(begin, "") for begin in ("3/", "3:", "3-", "3,", "1.", "v", "x", "e", "0x", "1e", "10^", "-", "--", "1±", "#")},
    "tensor": wrapped("tensor(", ")"),
    "tensor on a device": wrapped("tensor(", ", device='cuda:0')"),
    "tensor, one element": wrapped("tensor([", "])"),
    "numpy scalar": wrapped("np.float64(", ")"),
    "numpy array": wrapped("array([", "])"),
    "numpy array, two elements": lambda value: f"[{value!r} 0.25]",
    "list": lambda value: f"[{value!r}, 0.25]",
    "dictionary": lambda value: f"{value!r}}}",
    "logarithm": wrapped("log(", ")"),
    "green": wrapped("\x1b[32m", "\x1b[0m"),
    "bold": wrapped("\x1b[1;31m", "\x1b(B\x1b[m"),
    "link": wrapped("\x1b]8;;http://7.example\x07", "\x1b]8;;\x07"),
    "windows": lambda value: "-1.#IND" if value < 0 else "1.#QNAN",
    "windows, infinite": lambda value: "1.#INF",
    "date": lambda value: "2026-11-26",
    "time": lambda value: "12:30:01",
    "version": lambda value: "1.2.3",
}  # fmt: skip
"""How a script may print a number, and what it may print in the place of one."""

EXACT = re.compile(
    r"""\s*(?:[\w.]*(?:tensor|array|float64)\()?[\[("'`]*(?P<number>[-+]?(?:[1-9]\d{0,2}(?:,\d{3})+\.\d+|[1-9]\d{0,2}(?:,\d{3}){2,}|\d+(?:_\d{3})*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)[])"'`]*"""
    r"""(?:,\ device='cuda:0'\))?(?:%|%/s|[<>].*|[.,;:](?:\ 5)?|[\[(]\d[])]|})?""",
    re.VERBOSE,
)
"""What is one number, written independently of the reader."""


def printed(text: str) -> float | None:
    """The number that a text shows; None where that could be disputed."""
    plain = re.sub(r"\x1b(?:\[[\d;]*m|\(B|\][^\x07]*\x07)", "", text).replace("−", "-")
    found = EXACT.fullmatch(plain)
    return float(found["number"].replace(",", "")) if found else None


def outcome(lines: list[str], pattern: str) -> float | None:
    """The final number, or None where the run fails."""
    run = Run("a" * 64, "b" * 64, 0, {}, {"command": ["x"], "metrics": {"m": pattern}})
    measured = Measured(run, Context(Path(".")))
    output = Output(measured)
    try:
        for line in lines:
            output.take(line, stdout=True)
        return measured.outcome().metrics["m"]
    except RunFailure as failure:
        assert isinstance(failure, Diverged) or "m" in str(failure)
        return None


LOOSE = (
    "wrapped ~",
    "wrapped ≈",
    "wrapped =",
    "wrapped $",
    "wrapped <>",
    "preceded by #",
    "preceded by v",
    "logarithm",
    "list",
    "numpy array, two elements",
)
"""Where a pattern that skips what stands before its number says which number it means."""

VALUES = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False, min_value=-1e12, max_value=1e12),
    st.floats(min_value=-1, max_value=1),
    st.integers(-(10**9), 10**9).map(float),
    st.sampled_from([0.0, 1.0, -0.5, 9.8e-05, 1e-5, 5.2e10, 1234.5, 1234.0, 1234567.0, 0.85, 12.5, 3.0, -1e-30]),
)


TAILS = ("", " ", ", acc", " (best)", "\tend", ", acc 3", " (best 0.1)")


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=30)
@given(value=VALUES, tail=st.sampled_from(TAILS), pattern=st.sampled_from(PATTERNS))
def test_a_printed_number_is_read_exactly_or_the_run_fails(name: str, value: float, tail: str, pattern: str) -> None:
    text = FORMATS[name](value)
    if re.search(r"\d", tail) and "*?" in pattern:
        tail = ""  # such a pattern may mean the second number
    found = outcome([f"val loss {text}{tail}"], pattern)
    assert found is None or found == printed(text) or (name in LOOSE and "*?" in pattern and repr(found) in text)


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_one_number_is_read_by_the_pattern_that_is_taught(name: str) -> None:
    for value in (0.5, -0.5, 9.8e-05, 12.0, 1234567.25):
        text = FORMATS[name](value).strip()
        if printed(text) is not None and not re.match(r"[<>]", text):
            assert outcome([f"val loss {text}"], r"val loss (\S+)") == printed(text), text
        else:
            assert outcome([f"val loss {text}"], r"val loss (\S+)") is None, text


@pytest.mark.parametrize(
    "pattern", [r"val loss ([0-9.]+)", r"val loss (\S+)", r"val loss ([-+0-9.eE]+)", r"val loss (\d+\.?\d*)"]
)
@pytest.mark.parametrize(
    ("text", "expected"),
    [("9.8e-05", 9.8e-05), ("1e-05", 1e-05), ("5.2e+10", 5.2e10), ("2E-7", 2e-7), ("1,234.5", 1234.5), ("1,234,567", 1234567.0), ("-3", -3.0), ("−3", -3.0), ("+0.5", 0.5), (".5", 0.5), ("1.", 1.0), ("0.5.", 0.5), ("0.5,", 0.5), ("0.5;", 0.5), ("5%", 5.0), ("1_000", 1000.0), ("0.5(3)", 0.5), ("\x1b[32m0.5\x1b[0m", 0.5), ("0.5\x1b[0mbest", 0.5)],
)  # fmt: skip
def test_numbers_are_read_whole(text: str, expected: float, pattern: str) -> None:
    assert outcome([f"val loss {text}"], pattern) == expected


@pytest.mark.parametrize(
    "pattern",
    [
        r"val loss ([0-9.]+)",
        r"val loss (\S+)",
        r"val loss ([-+0-9.eE]+)",
        r"val loss (\d+\.?\d*)",
        r"val loss ([0-9.]+)$",
        r"val loss ([0-9.]+).*",
        r"val loss (.*)",
    ],
)
@pytest.mark.parametrize(
    "text",
    ["0,85", "1,234", "0x1F", "12.5k", "-1.#IND", "1.#QNAN", "1d-3", "0.123…", "1e-", "0.5d0", "12,5", "1'234.5"],
)
def test_what_could_mean_two_things_ends_the_run_though_other_lines_are_read(text: str, pattern: str) -> None:
    run = Run("a" * 64, "b" * 64, 0, {}, {"command": ["x"], "metrics": {"m": pattern}})
    output = Output(Measured(run, Context(Path("."))))
    output.take("val loss 0.5", stdout=True)
    with raising(RunFailure):
        output.take(f"val loss {text}", stdout=False)


@pytest.mark.parametrize("text", ["3:4", "3/4", "2026-11-26", "12:30:01", "1.2.3", "0.5/1.0", "0.5±0.1", "12.5s"])
def test_what_goes_on_after_a_number_ends_the_run(text: str) -> None:
    for pattern in (r"val loss ([0-9.]+)", r"val loss (\S+)", r"val loss (\d+\.?\d*).*", r"val loss (\d+)\S*"):
        assert outcome(["val loss 0.5", f"val loss {text}"], pattern) is None


@pytest.mark.parametrize(
    ("text", "pattern", "expected"),
    [("12.5s", r"loss ([0-9.]+)s", 12.5), ("12.5s", r"loss (\S+)s", 12.5), ("12.5s", r"loss ([0-9.]+)s?", 12.5), ("12.5 s", r"loss ([0-9.]+) s", 12.5), ("3/4", r"loss ([0-9]+)/", 3.0), ("3:4", r"loss ([0-9]+):", 3.0), ("560/597", r"loss (\d+)/\d+", 560.0), ("3,4", r"loss (\d+),(\d+)", 3.0), ("3,456", r"loss (\d+),(\d+)", 3.0), ("12.5k", r"loss ([0-9.]+)[a-z]*", 12.5), ("-0.5s", r"loss ([0-9.]+)s", -0.5), ("1e-3s", r"loss ([0-9.]+)s", 1e-3), ("12.5*", r"loss (\S+)\*", 12.5), ("0.5|", r"loss ([0-9.]+)\|", 0.5), ("0.5ms", r"loss ([0-9.]+)(?=ms)", 0.5)],
)  # fmt: skip
def test_what_a_pattern_names_after_its_group_is_its_own(text: str, pattern: str, expected: float) -> None:
    assert outcome([f"val loss {text}"], pattern) == expected


@pytest.mark.parametrize(
    ("line", "pattern"),
    [("loss=-3", r"loss=-?([0-9.]+)"), ("v1-0.5", r"v1-([0-9.]+)"), ("loss 10.5", r"loss.*([0-9]\.[0-9]+)"), ("loss 0.93", r"loss \d\.(\d+)"), ("loss 1,234", r",(\d+)"), ("loss float64(0.5)", r"loss\D*(\d+)"), ("loss 3/4", r"loss.*?(\d+)$"), ("loss resnet-50", r"loss.*?(-?\d+)$")],
)  # fmt: skip
def test_a_group_that_begins_inside_a_number_ends_the_run(line: str, pattern: str) -> None:
    assert outcome(["loss 0.5", "loss=0.5", line], pattern) is None


@pytest.mark.parametrize(
    ("lines", "pattern", "expected"),
    [
        (["loss nan, lr 0.1", "loss 0.5, lr 0.1"], r"loss.*?([0-9.]+)", 0.5),
        (["loss: -0.5"], r"loss\D*([0-9.]+)", -0.5),
        (["loss=-3"], r"loss=.?([0-9.]+)", -3.0),
        (["loss 0.9", "loss function: x", "loss is small", "loss --", "loss: resnet50"], r"loss (\S+)", 0.9),
        (["2026-11-26 12:30:01,123 loss 0.5"], r"loss ([0-9.]+)", 0.5),
        (["\x1b[1mloss\x1b[0m 0.5"], r"\x1b\[1mloss\x1b\[0m (\S+)", 0.5),
        (["loss0.5"], r"loss([0-9.]+)", 0.5),
        (["loss: 0.5\b\b\b\b"], r"loss: (\S+)", 0.5),
    ],
)
def test_words_dates_and_colours_do_not_stand_in_the_way(lines: list[str], pattern: str, expected: float) -> None:
    assert outcome(lines, pattern) == expected


@pytest.mark.parametrize("pattern", [r"val loss ([0-9.]+)", r"val loss (\d+\.\d{4})", r"val loss (\S+), lr"])
@pytest.mark.parametrize("text", ["nan", "NaN", "-nan(ind)", "inf", "-Infinity"])
def test_a_number_that_is_none_is_seen_whatever_the_pattern_asks_for(text: str, pattern: str) -> None:
    run = Run("a" * 64, "b" * 64, 0, {}, {"command": ["x"], "metrics": {"m": pattern}})
    measured = Measured(run, Context(Path(".")))
    output = Output(measured)
    output.take("val loss 0.5000, lr 1", stdout=True)
    output.take(f"val loss {text}, lr 1", stdout=True)
    with raising(Diverged):
        measured.outcome()


LINES = st.one_of(
    st.text(max_size=60),
    st.text(alphabet="0123456789.,-+eE_'%:/ \x1b[m()nafi#k\"{}", max_size=60),
    st.from_regex(re.compile(r'\{"(epoch|split|m|val/m|eval)": ?[^\n]{0,20}\}'), fullmatch=True),
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["m", "epoch", "step", "split", "val", "val/m", "top1", "x"]), inner, max_size=4),
    ).map(lambda value: json.dumps({"m": value, "eval": value})),
)  # fmt: skip


@pytest.mark.slow
@settings(max_examples=300)
@given(lines=st.lists(LINES, max_size=5), pattern=st.sampled_from([*PATTERNS, r"(?P<epoch>\S+) m (\S+)|m (\S+)", r"()m", r"(?P<step>.?)(.*)"]))  # fmt: skip
def test_no_line_breaks_the_reader(lines: list[str], pattern: str) -> None:
    found = outcome(lines, pattern)
    assert found is None or math.isfinite(found)


def test_long_lines_come_to_an_end() -> None:
    for line in ("1e-5 " * 10_000, "-1" * 30_000, "a." * 30_000, "loss " + "[" * 60_000, "\x1b[" * 30_000):
        assert outcome([line], r"loss (\S+)") is None


@pytest.mark.parametrize(("text", "advice"), [("560/597", OF), ("3 / 4", None), ("3/x", AFTER), ("1,5", COMMA)])
def test_a_share_is_told_how_it_is_written(text: str, advice: str | None) -> None:
    try:
        number_at(text, 0, len(text), lambda place: False)
        found = None
    except Unreadable as error:
        found = error.advice
    assert found == advice
