"""The model behind the effects: how a grid is coded, and what its runs can tell apart."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ablate.analysis.layout import baseline_levels
from ablate.study.values.study import Arm, Level, Study, TableSpec

_TOLERANCE = 1e-8  # of an entry of the null space's projector, whose true value is 0
_NAMED = 4  # effects that a confounded one names
_SUMMED = 3  # interactions that the name of a confounded main effect spells out


@dataclass(frozen=True)
class Part:
    """One factor of the model, or one member of a factor of subsets. Of two levels the low one comes first."""

    factor: str
    levels: tuple[str, ...]
    member: str | None = None

    @property
    def two_level(self) -> bool:
        return len(self.levels) == 2

    def level_at(self, level: Level) -> str:
        """Its own level where its factor has this one."""
        return level.name if self.member is None else self.levels[self.member in level.members]

    def code(self, level: str) -> tuple[float, ...]:
        """-1 or +1 for two levels; sum coding, one column less than levels, for more."""
        index, last = self.levels.index(level), len(self.levels) - 1
        if self.two_level:
            return (1.0 if index else -1.0,)
        return (-1.0,) * last if index == last else tuple(float(index == column) for column in range(last))

    def shown(self) -> tuple[tuple[str, str], ...]:
        """(label, level) of each effect that is printed: the high level of two, every level of more."""
        if self.member is not None:
            return ((self.member, self.levels[1]),)
        return tuple(
            (f"{self.factor}={level}", level) for level in (self.levels[1:] if self.two_level else self.levels)
        )


Term = tuple[Part, ...]


def parts_of(study: Study, spec: TableSpec, arms: Sequence[Arm]) -> tuple[Part, ...]:
    """The factors that vary over the arms, subset factors taken apart into their members."""
    parts = []
    low = baseline_levels(study, spec)
    for factor in study.factors:
        present = {arm.levels[factor.name] for arm in arms}
        levels = [level for level in factor.levels if level.name in present]
        for member in factor.members:
            if len({member in level.members for level in levels}) == 2:
                parts.append(Part(factor.name, (f"without {member}", f"with {member}"), member))
        if not factor.members and len(levels) > 1:
            names = sorted((level.name for level in levels), key=lambda name: name != low.get(factor.name))
            parts.append(Part(factor.name, tuple(names)))
    return tuple(parts)


def levels_of(study: Study, parts: Sequence[Part], arm: Arm) -> dict[Part, str]:
    """An arm by the parts' levels."""
    levels = {factor.name: factor.level(arm.levels[factor.name]) for factor in study.factors}
    return {part: part.level_at(levels[part.factor]) for part in parts}


def cells(study: Study, parts: Sequence[Part], arms: Sequence[Arm]) -> list[dict[Part, str]]:
    """Every combination of the factors' levels that occur: what a full grid would hold."""
    factors = [f for f in study.factors if any(part.factor == f.name for part in parts)]
    present = [[level for level in f.levels if any(arm.levels[f.name] == level.name for arm in arms)] for f in factors]
    grid: dict[tuple[str, ...], dict[Part, str]] = {}  # a member that does not vary has no part: such cells are one
    for combination in itertools.product(*present):
        levels = {factor.name: level for factor, level in zip(factors, combination, strict=True)}
        cell = {part: part.level_at(levels[part.factor]) for part in parts}
        grid[tuple(cell.values())] = cell
    return list(grid.values())


def empty(cells: list[dict[Part, str]], coded: list[dict[Part, str]], parts: Sequence[Part]) -> tuple[str, ...]:
    seen = {tuple(row.values()) for row in coded}
    return tuple(
        " ".join(
            f"{part.factor}={cell[part]}"
            if part.member is None
            else ("+" if cell[part] == part.levels[1] else "-") + part.member
            for part in parts
        )
        for cell in cells
        if tuple(cell.values()) not in seen
    )


def blocks(seeds: Sequence[int]) -> np.ndarray:
    """Intercept and sum-coded replicates, one row a run."""
    order = tuple(dict.fromkeys(seeds))
    block = Part("replicate", tuple(str(seed) for seed in order))
    if len(order) < 2:
        return np.ones((len(seeds), 1))
    return np.asarray([(1.0, *block.code(str(seed))) for seed in seeds])


def model_matrix(
    blocks: np.ndarray, terms: Sequence[Term], coded: Sequence[Mapping[Part, str]]
) -> tuple[np.ndarray, dict[Term, slice]]:
    """The model matrix, one row a run, and where each term's columns stand."""
    columns, places, at = [blocks], {}, blocks.shape[1]
    for term in terms:
        kinds = [tuple(row[part] for part in term) for row in coded]
        codes = {
            kind: _products([part.code(level) for part, level in zip(term, kind, strict=True)]) for kind in set(kinds)
        }
        block = np.asarray([codes[kind] for kind in kinds])
        columns.append(block)
        places[term] = slice(at, at + block.shape[1])
        at += block.shape[1]
    return np.hstack(columns), places


def _products(codes: Sequence[tuple[float, ...]]) -> list[float]:
    return [math.prod(combination) for combination in itertools.product(*codes)]


def contrasts_of(term: Term, place: slice, width: int) -> list[tuple[str, dict[str, str], Any]]:
    """(name, levels, weights over the model's columns) of each effect of a term."""
    scale = 2.0 if any(part.two_level for part in term) else 1.0
    found = []
    for labelled in itertools.product(*(part.shown() for part in term)):
        weights = np.zeros(width)
        codes = [part.code(level) for part, (_, level) in zip(term, labelled, strict=True)]
        weights[place] = np.asarray(_products(codes)) * scale
        levels = {part.member or part.factor: level for part, (_, level) in zip(term, labelled, strict=True)}
        found.append((" × ".join(label for label, _ in labelled), levels, weights))
    return found


Lost = tuple[np.ndarray, Mapping[Term, slice]]
"""What a model can't see (see `lost`), and where each of its terms stands."""


def tell_apart(everything: Lost, only_mains: Lost) -> tuple[list[Term], list[Term], list[str]]:
    """The terms that the runs tell from every other, the main effects that they tell from each other only, and the rest in words."""
    clear: list[Term] = []
    among_mains: list[Term] = []
    left_out: list[str] = []
    (lost, places), (by_mains, main_places) = everything, only_mains
    for term in places:
        if not (rivals := _rivals(term, lost, places)):
            clear.append(term)
        elif term in main_places and not (rivals := _rivals(term, by_mains, main_places)):
            among_mains.append(term)
        else:
            others = [other for other in rivals if other != term]
            named = ", ".join(map(term_name, others)) if len(others) <= _NAMED else f"{len(others)} other effects"
            left_out.append(f"{term_name(term)} (confounded with {named or 'the mean'})")
    return clear, among_mains, left_out


def _rivals(term: Term, lost: np.ndarray, places: Mapping[Term, slice]) -> list[Term]:
    """The terms that the runs can't tell from this one, itself included; none where it stands by itself."""
    mine = lost[places[term]]
    if float(np.abs(mine).max()) < _TOLERANCE:
        return []
    return [term, *(t for t in places if t != term and np.abs(mine[:, places[t]]).max() > _TOLERANCE)]


def sum_name(name: str, expected: np.ndarray, places: Mapping[Term, slice], pairs: Sequence[Term]) -> str:
    """What a confounded main effect really estimates: itself, and the interactions that are in it.

    expected   weight of each column of the full model in the estimate's expectation
    """
    inside = [pair for pair in pairs if np.abs(expected[places[pair]]).max() > _TOLERANCE]
    if len(inside) > _SUMMED:
        return f"{name} + parts of {len(inside)} interactions"
    for pair in inside:
        share = float(expected[places[pair].start]) / 2 if all(part.two_level for part in pair) else 0.0
        if abs(abs(share) - 1) < _TOLERANCE:
            name += (" + " if share > 0 else " - ") + " × ".join(part.shown()[0][0] for part in pair)
        else:
            name += f" + part of {term_name(pair)}"
    return name


def lost(design: np.ndarray, inverse: np.ndarray) -> np.ndarray:
    """What a model can't see: its matrix's null space as a projector, zero where a column stands by itself."""
    return np.asarray(np.eye(design.shape[1]) - inverse @ design)


def term_name(term: Term) -> str:
    return " × ".join(part.member or part.factor for part in term)
