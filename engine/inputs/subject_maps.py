"""Maps of several subjects as one matrix: what a permutation test is done on, and where its features lie."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.inputs.model import Region
from thalgpu.engine.inputs.region_parts import without_elements
from thalgpu.errors import InputError

_LARGEST = 1e150
"""Beyond it sums of squares overflow; no map holds such numbers on purpose."""


@dataclass(frozen=True)
class SubjectMaps:
    """One measure of every subject.

    Attributes
    ----------
    name : "" when there is one measure only, else for file names, e.g. "component-1" or "hemi-L_component-2".
    ids : participants without "sub-", one a row; None where the source names none.
    values : (n_subjects, n_features) float64, finite, no column constant.
    space : where the features lie, in order; None for arrays and tables.
    feature_names : (n_features,) columns of a table; empty otherwise.
    kept : (n_features,) int64 ascending positions of the features among the `n_source` of the source: of the mask's or
        region's elements, else of the grid's; of the columns of an array or table.
    n_source : features of the source.
    sources : file → SHA-256 (hex) of what was read.
    """

    name: str
    ids: tuple[str, ...] | None
    values: NDArray[np.float64]
    space: Region | None
    feature_names: tuple[str, ...]
    kept: NDArray[np.int64]
    n_source: int
    sources: dict[Path, str]

    @property
    def n_left_out(self) -> int:
        """Features without a value in every subject, or with the same in all."""
        return self.n_source - len(self.kept)


@dataclass(frozen=True)
class MapStack:
    """Maps as they were read, before features without information are left out.

    Attributes
    ----------
    path : what the user named, for messages.
    rows : one (n_elements,) array of numbers a subject; nothing is known of their values.
    words : what each row is, for messages: "sub-01", "row 3", or a file's name.
    ids : participants without "sub-", or None.
    sources : file → SHA-256 (hex).
    name : as of `SubjectMaps`.
    space : of all elements, or None.
    feature_names : of all elements, or empty.
    covered : (n_elements,) bool a subject: what their scan covers; None for everything.
    flaws : row → why it cannot be analysed, where the reader knows better than that it holds NaN.
    """

    path: Path
    rows: Sequence[NDArray[Any]]
    words: tuple[str, ...]
    ids: tuple[str, ...] | None
    sources: dict[Path, str]
    name: str = ""
    space: Region | None = None
    feature_names: tuple[str, ...] = ()
    covered: Sequence[NDArray[np.bool_]] | None = None
    flaws: Mapping[int, InputError] = field(default_factory=dict)


def settle_all(stacks: Sequence[MapStack], chosen: Sequence[int] | None = None) -> tuple[SubjectMaps, ...]:
    """Each measure of the chosen subjects, see `settle`."""
    return tuple(settle(stack, chosen) for stack in stacks)


def settle(stack: MapStack, chosen: Sequence[int] | None = None) -> SubjectMaps:
    """Leave out what cannot be tested, and refuse what was not meant.

    Parameters
    ----------
    stack : rows of equal length.
    chosen : which of its rows are analysed, in the order that is wanted; None for all. The others may hold anything.

    Returns
    -------
    Without elements that are not covered in all, that have the same value in all, or, in images, that are NaN in all,
    as many programs write outside the brain.

    Raises
    ------
    InputError
        For one subject alone; NaN or Inf where other subjects have numbers, and any in an array or table; numbers
        beyond 1e150; nothing left.
    """
    numbers = list(range(len(stack.rows)) if chosen is None else chosen)
    if len(numbers) < 2:
        reason = f"maps of one subject alone, {stack.words[numbers[0]]}" if numbers else "no maps at all"
        raise InputError(stack.path, reason, remedy="give the maps of all subjects")
    if flawed := sorted(set(numbers) & set(stack.flaws)):
        raise stack.flaws[flawed[0]]
    rows = [stack.rows[number] for number in numbers]
    n_elements = len(rows[0])
    tested = np.ones(n_elements, dtype=bool)
    if stack.covered is not None:
        for number in numbers:
            tested &= stack.covered[number]
    if stack.space is not None:
        outside = np.ones(n_elements, dtype=bool)
        for row in rows:
            outside &= _nan(row)
        tested &= ~outside
    _require_finite(stack, numbers, tested)
    differs = np.zeros(n_elements, dtype=bool)
    for row in rows[1:]:
        differs |= row != rows[0]
    kept = np.flatnonzero(tested & differs)
    if not kept.size:
        reason = f"none of {n_elements} features has values that differ between the {len(rows)} subjects"
        raise InputError(stack.path, reason, remedy="check the mask, and that every subject's own maps were given")
    values = np.empty((len(rows), len(kept)))
    for value, row in zip(values, rows, strict=True):
        value[:] = row[kept]
    left_out = np.ones(n_elements, dtype=bool)
    left_out[kept] = False
    return SubjectMaps(
        name=stack.name,
        ids=None if stack.ids is None else tuple(stack.ids[number] for number in numbers),
        values=values,
        space=None if stack.space is None else without_elements(stack.space, left_out),
        feature_names=tuple(stack.feature_names[i] for i in kept) if stack.feature_names else (),
        kept=kept,
        n_source=n_elements,
        sources=stack.sources,
    )


def _nan(row: NDArray[Any]) -> NDArray[np.bool_]:
    return np.isnan(row) if row.dtype.kind == "f" else np.zeros(len(row), dtype=bool)


def _require_finite(stack: MapStack, numbers: Sequence[int], tested: NDArray[np.bool_]) -> None:
    """InputError that names the subject with most unusable values, and how many other subjects have some."""
    rows = [stack.rows[number] for number in numbers]
    with np.errstate(invalid="ignore"):  # comparisons with NaN, which is what is looked for
        # as written, NaN is found too
        unusable = [int((tested & ~(np.abs(row.astype(np.float64)) <= _LARGEST)).sum()) for row in rows]
    worst = int(np.argmax(unusable))
    if not unusable[worst]:
        return
    others = sum(count > 0 for count in unusable) - 1
    also = f", and {others} other subject{'s' if others > 1 else ''} at some" if others else ""
    n_tested = int(tested.sum())
    who = stack.words[numbers[worst]]
    reason = f"{who} has no usable number (NaN, Inf or huge) at {unusable[worst]} of {n_tested} features"
    remedy = "fill the gaps, or leave out these subjects or features"
    if stack.space is not None:
        remedy = "give a --mask of features that every subject has, or leave out these subjects"
    files = list(stack.sources)
    path = files[numbers[worst]] if len(files) == len(stack.rows) else stack.path
    raise InputError(path, reason + also, remedy=remedy)
