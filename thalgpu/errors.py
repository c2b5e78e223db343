"""What can go wrong, in one tree; each leaf knows the exit code a command ends with.

ThalgpuError                1  internal error
├── UsageError              2  options that contradict each other
├── InputError              4  a file, or a line or field of one, that cannot be used
├── NumericsError           4  arrays that have no answer under the method asked for (also a ValueError)
└── ResourceError           5  disk, memory, device or lock
    ├── WorkerDiedError        a worker process that ended without an answer
    └── IncompleteError     4  an output folder that lacks what it should hold

ThalgpuWarning              a result that needs a reader's eye
└── EigengapWarning         components too close to tell apart
"""

from pathlib import Path


class ThalgpuError(Exception):
    """Base of every error raised on purpose: what happened, where, and what to do about it."""

    exit_code = 1

    def __init__(self, what: str, *, where: str | None = None, remedy: str | None = None) -> None:
        super().__init__(what, where, remedy)
        self.what = what
        self.where = where
        self.remedy = remedy

    def __str__(self) -> str:
        where = f" ({self.where})" if self.where else ""
        remedy = f" — {self.remedy}" if self.remedy else ""
        return f"{self.what}{where}{remedy}"

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.__dict__)


class UsageError(ThalgpuError):
    """Options that contradict each other or do not exist."""

    exit_code = 2


class InputError(ThalgpuError):
    """A file that cannot be used: `path` and `reason`, with the line or field where it is known.

    Parameters
    ----------
    path : the file.
    reason : what is wrong with it, in a few words.
    at : line number or field name inside the file.
    remedy : what the user should do.
    """

    exit_code = 4

    def __init__(
        self, path: Path | str, reason: str, *, at: int | str | None = None, remedy: str | None = None
    ) -> None:
        where = str(path) if at is None else f"{path}:{at}"
        super().__init__(reason, where=where, remedy=remedy)
        self.path = Path(path)
        self.reason = reason


class NumericsError(ThalgpuError, ValueError):
    """Arrays for which the method has no answer: disconnected graph, too few voxels, a residual that is too large."""

    exit_code = 4


class ResourceError(ThalgpuError):
    """Disk, memory, device or lock: nothing is wrong with the input."""

    exit_code = 5


class WorkerDiedError(ResourceError):
    """A worker process that ended without an answer: killed, or out of memory."""


class IncompleteError(ResourceError):
    """An output folder that lacks a result, or holds another one than its inputs and options give."""

    exit_code = 4


class ThalgpuWarning(UserWarning):
    """A result that needs a reader's eye."""


class EigengapWarning(ThalgpuWarning):
    """Two eigenvalues so close that only the subspace of their components is meaningful."""


def _rebuild(kind: type[ThalgpuError], state: dict[str, object]) -> ThalgpuError:
    """Unpickle without calling __init__, whose signature differs between the leaves."""
    error = kind.__new__(kind)
    error.__dict__.update(state)
    error.args = (state["what"], state["where"], state["remedy"])
    return error
