"""Device memory: every allocation lies between guard zones, is known while it lives, and is remembered when freed."""

import weakref
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

GUARD = 512
"""Bytes on each side of an allocation that nothing may touch; also its alignment."""
GUARD_BYTE = 0xA5
POISON = 0xFF
"""What new and freed memory holds: NaN as floating point, -1 as integers."""
QUARANTINE = 64 * 2**20
"""Bytes of freed memory that are held back, so that a stale address is not a new array's."""


class OutOfMemoryError(MemoryError):
    """The device is full; CuPy's error of this name is a MemoryError, too."""


class Allocation:
    """Some bytes on a device.

    Attributes
    ----------
    n_bytes, device : how many, and where.
    address : multiple of GUARD.
    values : (n_bytes,) uint8; arrays are views of it.
    """

    def __init__(self, n_bytes: int, device: int) -> None:
        _require_room(n_bytes)
        self.n_bytes, self.device = n_bytes, device
        self._memory = np.full(n_bytes + 3 * GUARD, GUARD_BYTE, np.uint8)
        start = GUARD + -self._memory.ctypes.data % GUARD
        self._start = start
        self.address = self._memory.ctypes.data + start
        self.values = self._memory[start : start + n_bytes]
        self.values[:] = POISON
        _live[id(self._memory)] = self
        weakref.finalize(self, _free, self._memory, self.address, n_bytes).atexit = False

    def is_intact(self) -> bool:
        """Whether nobody has written to the guard zones; they are mended for the next question."""
        zones = (self._memory[: self._start], self._memory[self._start + self.n_bytes :])
        intact = all(bool((zone == GUARD_BYTE).all()) for zone in zones)
        for zone in zones if not intact else ():
            zone[:] = GUARD_BYTE
        return intact


_live: "weakref.WeakValueDictionary[int, Allocation]" = weakref.WeakValueDictionary()
_freed: "deque[tuple[NDArray[np.uint8], int, int]]" = deque()
_limits: list[tuple[int, int]] = []  # bytes, and allocations, that are still to be had


def allocation_of(values: NDArray[Any]) -> Allocation | None:
    """The allocation that an array is a view of; None for host memory."""
    base = values
    while isinstance(base.base, np.ndarray):
        base = base.base
    return _live.get(id(base))


def live() -> list[tuple[int, int]]:
    """Address and bytes of every allocation."""
    return [(allocation.address, allocation.n_bytes) for allocation in _live.values()]


def freed() -> list[tuple[int, int]]:
    """Address and bytes of what was freed lately."""
    return [(address, n_bytes) for _, address, n_bytes in list(_freed)]  # the collector may free more meanwhile


@contextmanager
def limited(n_bytes: int = 2**62, *, n_allocations: int = 2**62) -> Iterator[None]:
    """Let the device hold no more than so many bytes more, or make so many allocations more, for a while."""
    _limits.append((used() + n_bytes, n_allocations))
    try:
        yield
    finally:
        _limits.pop()


def used() -> int:
    """Bytes that arrays hold at present."""
    return sum(n_bytes for _, n_bytes in live())


def _require_room(n_bytes: int) -> None:
    if not _limits:
        return
    most, left = _limits[-1]
    if used() + n_bytes > most or left < 1:
        raise OutOfMemoryError(f"out of memory allocating {n_bytes} bytes (allocated so far: {used()} bytes)")
    _limits[-1] = (most, left - 1)


def _free(memory: NDArray[np.uint8], address: int, n_bytes: int) -> None:
    memory[:] = POISON
    _freed.append((memory, address, n_bytes))
    while len(_freed) > 256 or sum(len(held) for held, _, _ in _freed) > QUARANTINE:
        _freed.popleft()
