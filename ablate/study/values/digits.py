"""How many digits of a number are printed, where no column says so."""

from __future__ import annotations

import math


def places(value: float, digits: int) -> int:
    """Decimals that show `digits` significant digits of a positive value, as it rounds: 0.0996 is 0.10 to two."""
    exponent = int(f"{value:.{digits - 1}e}".partition("e")[2])
    return digits - 1 - exponent


def brief(value: float | None) -> str:
    """A number by itself, for lists of runs: `0.8421`, `0.03125`, `5019`, `1234.5`, `9.800e-05`, `1.234e+45`; never more than ten digits."""
    if value is None:
        return ""
    if not math.isfinite(value):
        return str(value)
    size = abs(value)
    if value == round(value) and size < 1e9:
        return f"{value:.0f}"
    if not 1e-3 <= size < 1e9:
        return f"{value:.3e}"
    return f"{value:.{max(1, min(max(4, places(size, 4)), places(size, 5)))}f}"
