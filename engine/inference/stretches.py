"""How permutations are cut into blocks, and when enough of them have been done."""

from collections.abc import Callable, Iterable
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.inference.null_maxima import NEVER, Null, merge
from thalgpu.kernels.glm import tie_threshold

Piece = TypeVar("Piece")

_FEWEST, _MOST_BLOCKS = 100, 1000


def stretches(n_perm: int) -> list[tuple[int, int]]:
    """[start, stop) of each block: a hundred permutations, or more where that would make above a thousand blocks."""
    size = _FEWEST * max(1, -(-n_perm // (_FEWEST * _MOST_BLOCKS)))
    return [(start, min(start + size, n_perm)) for start in range(0, n_perm, size)]


def merge_all(pieces: Iterable[Piece], merge: Callable[[Piece, Piece], Piece]) -> Piece:
    """Everything merged: in pairs, then pairs of pairs, so that n pieces are copied log₂ n times each and not n times.

    Parameters
    ----------
    pieces : one or more; neighbours should follow each other. As many as log₂ n are held at a time.
    merge : of two; associative, so that the result does not depend on the way.
    """
    waiting: list[tuple[int, Piece]] = []  # how many pieces each holds: falling powers of two
    for piece in pieces:
        size = 1
        while waiting and waiting[-1][0] == size:
            size, piece = 2 * size, merge(waiting.pop()[1], piece)
        waiting.append((size, piece))
    whole = waiting.pop()[1]
    while waiting:
        whole = merge(waiting.pop()[1], whole)
    return whole


class Settling:
    """Blocks as they come, in any order, until those from the first on settle every p-value.

    Blocks after that are left out, so that the result does not depend on which of them have been run.
    """

    def __init__(self) -> None:
        self._null: Null | None = None
        self._ahead: dict[int, Null] = {}

    @property
    def null(self) -> Null:
        """The blocks from the first on, without a gap, as far as they are needed."""
        if self._null is None:
            raise ValueError("the first block has not come yet")
        return self._null

    @property
    def is_settled(self) -> bool:
        """Whether every feature of every contrast, and every part's largest cluster, has been reached as often as was
        asked for; then every corrected p has been as well, since maxima reach more."""
        null = self._null
        if null is None or any((hits[:, -1] == NEVER).any() for hits in null.first_hits.values()):
            return False
        wanted = next((hits.shape[1] for hits in null.first_hits.values()), 0)
        clusters = (maxima for measure, maxima in null.maxima.items() if measure not in null.first_hits)
        return all((_times_reached(maxima) >= wanted).all() for maxima in clusters)

    def take(self, null: Null) -> None:
        """Add a block."""
        self._ahead[null.stretches[0][0]] = null
        while not self.is_settled and (after := self._ahead.pop(self._next(), None)) is not None:
            self._null = after if self._null is None else merge(self._null, after)

    def _next(self) -> int:
        return 0 if self._null is None else self._null.stretches[0][1]


def _times_reached(maxima: NDArray[np.float64]) -> NDArray[np.int64]:
    """(n_contrasts, n_parts) permutations whose maximum reaches that of the identity, which comes first."""
    return np.asarray((maxima[:, :, 1:] >= tie_threshold(maxima[:, :, :1])).sum(axis=2))
