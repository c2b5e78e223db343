"""Two emulated devices, and which of them is current."""

from types import TracebackType

N_DEVICES = 2
SHARED_LIMIT = 65536
"""Shared memory that a block can ask for: that of the smallest architecture built for (sm_75)."""

_current = [0]


def current() -> int:
    """Number of the current device."""
    return _current[-1]


class Device:
    """A device by its number, as `cupy.cuda.Device`; within a `with` block, the current one."""

    def __init__(self, number: int | None = None) -> None:
        self.id = current() if number is None else number
        if not 0 <= self.id < N_DEVICES:
            raise ValueError(f"there is no device {self.id}")
        self.attributes = {"MaxSharedMemoryPerBlockOptin": SHARED_LIMIT, "MultiProcessorCount": 2}

    def use(self) -> None:
        """Make it the current one."""
        _current[-1] = self.id

    def synchronize(self) -> None:
        """Wait for its work: done already."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and other.id == self.id

    def __hash__(self) -> int:
        return self.id

    def __enter__(self) -> "Device":
        _current.append(self.id)
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        _current.pop()
