"""How launches are made: plain or checked, in which thread orders, and where libraries are kept."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

ASCENDING, DESCENDING = 0, 1
"""Orders in which threads and blocks run; any other number seeds a random one, with switches before atomics."""


@dataclass(frozen=True)
class Settings:
    """What holds for every launch.

    Attributes
    ----------
    checked : whether races, bounds, uninitialised shared memory and undefined behaviour are looked for.
    orders : each launch is made once in each order, from the same contents, and must leave the same bits.
    seconds : processor time after which a launch is given up.
    portable : whether threads switch stacks by POSIX ucontext, as they must on machines other than x86-64.
    cache : folder of compiled libraries; safe to share and to keep.
    """

    checked: bool = False
    orders: tuple[int, ...] = (ASCENDING,)
    seconds: float = 60.0
    portable: bool = False
    cache: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="cuda-emulator-")))


_current: list[Settings] = []


def settings() -> Settings:
    """The settings in force."""
    if not _current:
        _current.append(Settings())
    return _current[-1]


@contextmanager
def using(**changes: object) -> Iterator[Settings]:
    """Change some settings for a while."""
    _current.append(replace(settings(), **changes))  # type: ignore[arg-type]  # names are Settings' own
    try:
        yield _current[-1]
    finally:
        _current.pop()
