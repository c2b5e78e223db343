"""How permutations are cut into blocks, and when enough of them have been done."""

from thalgpu.engine.inference.blocks import NEVER, Null, merge

_FEWEST, _MOST_BLOCKS = 100, 1000


def stretches(n_perm: int) -> list[tuple[int, int]]:
    """[start, stop) of each block: a hundred permutations, or more where that would make above a thousand blocks."""
    size = _FEWEST * max(1, -(-n_perm // (_FEWEST * _MOST_BLOCKS)))
    return [(start, min(start + size, n_perm)) for start in range(0, n_perm, size)]


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
        """Whether every feature of every contrast has been reached as often as was asked for."""
        return self._null is not None and all((hits[:, -1] != NEVER).all() for hits in self._null.first_hits.values())

    def take(self, null: Null) -> None:
        """Add a block."""
        self._ahead[null.stretches[0][0]] = null
        while not self.is_settled and (after := self._ahead.pop(self._next(), None)) is not None:
            self._null = after if self._null is None else merge(self._null, after)

    def _next(self) -> int:
        return 0 if self._null is None else self._null.stretches[0][1]
