"""What people read in place of a study's names. Claims, the paper's figures and options take the names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Label:
    """`short` serves where there is little space, `latex` in LaTeX; empty: as `text`.

    `percent` and `digits` are of metrics: fractions times 100, and the decimals that are printed (None: as many as they need).
    """

    text: str
    short: str = ""
    latex: str = ""
    percent: bool = False
    digits: int | None = None


@dataclass(frozen=True)
class Labels:
    """The labels of a study by `FACTOR`, `FACTOR=LEVEL` (of a factor of subsets: a member) and `METRIC`.

    `levels` maps each factor to its levels, and each level of a factor of subsets to its members.
    """

    entries: Mapping[str, Label] = field(default_factory=dict)
    levels: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.entries)
