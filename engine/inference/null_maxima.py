"""What permutations leave behind: the largest statistic of each, and how often each feature was reached."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Measure: TypeAlias = Literal["stat", "tfce", "cluster_extent", "cluster_mass"]

NEVER = np.iinfo(np.int32).max
"""In place of a permutation's number: there was none."""


@dataclass(frozen=True)
class Null:
    """What some permutations left behind.

    Attributes
    ----------
    stretches : [start, stop) numbers of the permutations, ascending, disjoint.
    maxima : measure → (n_contrasts, n_parts, n_permutations) float64, in the order of the stretches.
    counts : measure → (n_contrasts, n_features) int64, permutations that reached the observed value.
    first_hits : measure → (n_contrasts, stop_after, n_features) int32: numbers of the first permutations but the
        identity that did so, ascending; `NEVER` where there were fewer. Empty unless stopping early is asked for.
    """

    stretches: tuple[tuple[int, int], ...]
    maxima: dict[Measure, NDArray[np.float64]]
    counts: dict[Measure, NDArray[np.int64]]
    first_hits: dict[Measure, NDArray[np.int32]]


def merge(one: Null, other: Null) -> Null:
    """Both together; commutative and associative, to the bit."""
    if any(a < d and c < b for a, b in one.stretches for c, d in other.stretches):
        raise ValueError(f"stretches {one.stretches} and {other.stretches} overlap")
    pieces = sorted([*_pieces(one), *_pieces(other)], key=lambda piece: piece[0])
    return Null(
        stretches=_joined([stretch for stretch, _ in pieces]),
        maxima={measure: np.concatenate([maxima[measure] for _, maxima in pieces], axis=2) for measure in pieces[0][1]},
        counts={measure: counts + other.counts[measure] for measure, counts in one.counts.items()},
        first_hits={
            measure: earliest(hits, other.first_hits[measure], axis=1) for measure, hits in one.first_hits.items()
        },
    )


def earliest(one: NDArray[np.int32], other: NDArray[np.int32], axis: int = 0) -> NDArray[np.int32]:
    """The smallest numbers of both, ascending, as many as `one` has."""
    ascending = np.sort(np.concatenate([one, other], axis=axis), axis=axis)
    return ascending.take(range(one.shape[axis]), axis=axis)


def _pieces(null: Null) -> Iterator[tuple[tuple[int, int], dict[Measure, NDArray[np.float64]]]]:
    """One a stretch."""
    offset = 0
    for start, stop in null.stretches:
        end = offset + stop - start
        yield (start, stop), {measure: maxima[:, :, offset:end] for measure, maxima in null.maxima.items()}
        offset = end


def _joined(stretches: Sequence[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Neighbouring stretches as one; `stretches` are ascending."""
    joined: list[tuple[int, int]] = []
    for start, stop in stretches:
        if joined and joined[-1][1] == start:
            joined[-1] = (joined[-1][0], stop)
        else:
            joined.append((start, stop))
    return tuple(joined)
