"""How wide LaTeX text comes out, estimated from its letters: rather too wide than too narrow.

The widths are those of Computer Modern at 10 pt, rounded up to a few classes. Whatever is in none of them (a sign, a command that
prints one) counts as wide as the widest of them.
"""

from __future__ import annotations

import re

_CLASSES = {
    "ijl.,:;'!|": 2.8,
    "frstIJ()[]-/ ": 4.1,
    "acegoz0123456789?": 5.1,
    "bdhknpquvxyS": 5.6,
    "wABCDEFGHKLNOPQRTUVXYZ<>=+": 7.9,
    "±×": 12.4,
    "M": 9.2,
    "W": 10.3,
}
_WIDTHS = {letter: width for letters, width in _CLASSES.items() for letter in letters}
_OTHER = 8.4

SMALL = 0.93
r"""What `\small` makes of a width at 10 pt: small letters are a little wider for their height."""
BOLD = 1.16

_WITHOUT_WIDTH = re.compile(
    r"\\(?:text(?:bf|it|rm|sf|tt|sc|normal|superscript)?|math(?:bf|it|rm|sf)|emph|underline|num|boldmath|rlap|allowbreak)(?![A-Za-z])"
    r"|[{}$^]"
)
_COMMAND = re.compile(r"\\[A-Za-z]+\*?|\\.")


def text_width(latex: str, *, bold: bool = False) -> float:
    r"""The width of one line in points, set in `\small` in a document at 10 pt."""
    text = latex.replace(r"$\pm$", "±").replace("+-", "±").replace(r"$\times$", "×").replace("~", " ")
    text = text.replace("---", "AA").replace(r"\_", "a").replace(r"\,", "i")
    text = _COMMAND.sub("\0", _WITHOUT_WIDTH.sub("", text))
    return sum(_WIDTHS.get(letter, _OTHER) for letter in text) * SMALL * (BOLD if bold else 1)
