"""Numbers of a page in few bytes: curves as 16-bit steps, places as ranges. The page's scripts read both."""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ablate.report import format as fmt

LEVELS = 65_534
"""Steps of a packed curve between its least and its greatest value; one code more says that there is no value."""


def pack(values: Sequence[float | None]) -> list[Any] | None:
    """A curve as [least, greatest, base64 of 16-bit steps between them]; None where it has no value."""
    known = [float(value) for value in values if value is not None and fmt.known(value)]
    if not known:
        return None
    low, high = min(known), max(known)
    step = (high - low) / LEVELS or 1.0
    codes = [LEVELS + 1 if value is None or not fmt.known(value) else round((value - low) / step) for value in values]
    return [_digits(low), _digits(high), base64.b64encode(struct.pack(f"<{len(codes)}H", *codes)).decode()]


def _digits(value: float) -> float:
    return float(f"{value:.8g}")


def by_key(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Objects of the same keys as a list for each key, which is then written once."""
    return {key: [row[key] for row in rows] for key in (rows[0] if rows else ())}


def ranges(places: Iterable[int]) -> str:
    """Places as `0-3 7 9-12`, in their order."""
    found: list[list[int]] = []
    for place in places:
        if found and place == found[-1][1] + 1:
            found[-1][1] = place
        else:
            found.append([place, place])
    return " ".join(f"{first}-{last}" if first < last else f"{first}" for first, last in found)
