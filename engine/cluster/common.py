"""What the tasks of a stage have in common, told to each worker of a cluster once.

Regions are megabytes and subjects are many: without this, all of it would pass through the scheduler with every task.
"""

import copy
import dataclasses
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

_SMALL = (str, bytes, int, float, Path, Enum, type(None))

_told: dict[str, tuple[int, Mapping[str, Any]]] = {}  # on a worker: whose run → the latest that it was told


@dataclasses.dataclass(frozen=True)
class Share:
    """What a task lacks, and with the first such task of each worker the thing itself.

    Attributes
    ----------
    owner : whose run it is of.
    number : counts what that run's tasks have had in common.
    values : field → value; None where the worker has been told.
    """

    owner: str
    number: int
    values: Mapping[str, Any] | None


class Common:
    """The client's side: takes out of each task what the one before had too, the very same object.

    Parameters
    ----------
    owner : name of the run, which no other has.
    """

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._number = 0
        self._values: dict[str, Any] = {}
        self._before: object = None
        self._knows: dict[str, int] = {}

    def pack(self, worker: str, task: Any) -> tuple[Any, Share | None]:
        """The task for a worker, and what it lacks; a task that has nothing in common is left as it is."""
        values, self._before = _in_common(self._before, task), task
        if not values:
            return task, None
        known = self._values
        if values.keys() != known.keys() or any(values[name] is not known[name] for name in values):
            self._values, self._number = values, self._number + 1
        is_told = self._knows.get(worker) == self._number
        self._knows[worker] = self._number
        return _with(task, dict.fromkeys(values)), Share(self._owner, self._number, None if is_told else values)


def unpack(task: Any, share: Share | None) -> Any:
    """The whole task, on the worker."""
    if share is None:
        return task
    if share.values is not None:
        _told[share.owner] = share.number, share.values
    number, values = _told[share.owner]
    assert number == share.number, "a worker has one task of a run at a time"
    return _with(task, values)


def forget(owner: str) -> None:
    """Let go of what a run has told, on the worker."""
    _told.pop(owner, None)


def _in_common(before: object, task: object) -> dict[str, Any]:
    if type(before) is not type(task) or not dataclasses.is_dataclass(task):
        return {}
    values = {field.name: getattr(task, field.name) for field in dataclasses.fields(task)}
    return {
        name: value
        for name, value in values.items()
        if not isinstance(value, _SMALL) and getattr(before, name) is value
    }


def _with(task: Any, values: Mapping[str, Any]) -> Any:
    """A copy with other values; tasks are frozen, and a task without them would not pass its own checks."""
    other = copy.copy(task)
    for name, value in values.items():
        object.__setattr__(other, name, value)
    return other
