"""How the cases of the registry are found, run and judged: on the host, and on any device that has CuPy's functions."""

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from registry import Arrays, Case

from thalgpu.kernels import _cuda
from thalgpu.kernels._namespace import is_device, to_host

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Launch:
    """A kernel that was launched, as "module:kernel", and how many blocks of it."""

    kernel: str
    n_blocks: int


@dataclass(frozen=True)
class Outcome:
    """What a case gave: its results as host arrays, and the kernels that it launched on the way."""

    results: Arrays
    launches: tuple[Launch, ...] = field(default=())


@cache
def all_cases() -> tuple[Case, ...]:
    """Every case of every file `cases_NAME.py` of this folder."""
    names = sorted(path.stem for path in HERE.glob("cases_*.py"))
    return tuple(case for name in names for case in import_module(name).CASES)


def label(case: Case) -> str:
    """The case's name in the test's."""
    return f"{case.operation.__name__}: {case.name}"


def module_of(case: Case) -> str:
    """The module of `thalgpu.kernels` that a case belongs to."""
    return case.operation.__module__.removeprefix("thalgpu.kernels.")


def arguments(case: Case) -> Arrays:
    """The case's arguments, the same ones each time."""
    return case.arguments(np.random.default_rng(zlib.crc32(label(case).encode())))


def has_nothing_in_it(case: Case) -> bool:
    """Whether one of the case's arrays is empty, so that there may be nothing to launch."""
    return any(isinstance(argument, np.ndarray) and argument.size == 0 for argument in arguments(case))


@cache
def expected(case: Case) -> Arrays:
    """The reference's results."""
    given = arguments(case)
    return _seen(case, _parts(case, case.reference(*given, **case.options), given))


def run_on_host(case: Case) -> Outcome:
    """Call the operation with host arrays, which cannot be written to unless the case says that they are."""
    given = arguments(case)
    for place, argument in enumerate(given):
        if isinstance(argument, np.ndarray) and place not in case.overwritten:
            argument.flags.writeable = False
    return Outcome(_seen(case, _parts(case, case.operation(*given, **case.options), given)))


def run_on_device(case: Case, xp: ModuleType) -> Outcome:
    """Call the operation with device arrays; AssertionError for results elsewhere or arguments that it changed."""
    host = arguments(case)
    given = tuple(_moved(argument, xp.asarray) for argument in host)
    launches: list[Launch] = []

    def note(kernel: str, grid: tuple[int, ...], run: Callable[[], None]) -> None:
        launches.append(Launch(kernel, int(np.prod(grid))))
        run()

    with _cuda.watched(note):
        parts = _parts(case, case.operation(*given, **case.options), given)
    for place, part in enumerate(parts):
        where = "on the host" if isinstance(part, np.ndarray) else "not on the host"
        assert isinstance(part, np.ndarray) == (place in case.on_host), f"result {place} is {where}"
    for place, (before, after) in enumerate(zip(host, given, strict=True)):
        if isinstance(before, np.ndarray) and place not in case.overwritten:
            assert before.tobytes() == to_host(after).tobytes(), f"argument {place} was changed"
    return Outcome(_seen(case, tuple(_moved(part, to_host) for part in parts)), tuple(launches))


def require_close(case: Case, found: Outcome, wanted: Arrays) -> None:
    """AssertionError unless each result is within the case's tolerance of what is wanted, in shape and kind, too."""
    assert len(found.results) == len(wanted), f"{len(found.results)} results instead of {len(wanted)}"
    for place, (result, other) in enumerate(zip(found.results, wanted, strict=True)):
        problem = _difference(np.asarray(result), np.asarray(other), case)
        assert not problem, f"{label(case)}, result {place}: {problem}"


def require_alike(found: Outcome, other: Outcome) -> None:
    """AssertionError unless two outcomes agree in dtypes and shapes."""
    kinds = [[(np.asarray(part).dtype, np.shape(part)) for part in outcome.results] for outcome in (found, other)]
    assert kinds[0] == kinds[1]


def _difference(result: np.ndarray, wanted: np.ndarray, case: Case) -> str:
    """In words, how far a result is from what is wanted; nothing where it is close enough."""
    if result.shape != wanted.shape:
        return f"has shape {result.shape}, not {wanted.shape}"
    if case.tolerance == 0 or wanted.dtype.kind not in "fc":
        wrong = np.argwhere(~((result == wanted) | ((result != result) & (wanted != wanted))))
        return f"{len(wrong)} of {wanted.size} differ, the first at {tuple(map(int, wrong[0]))}" if len(wrong) else ""
    finite = np.isfinite(wanted)
    if not np.array_equal(result[~finite], wanted[~finite], equal_nan=True) or not np.isfinite(result[finite]).all():
        return "is not finite in other places"
    scale = float(np.abs(wanted[finite]).max(initial=0))
    apart = np.abs(result.astype(np.float64) - wanted)[finite]
    worst = float(apart.max(initial=0))
    if worst <= case.tolerance * scale:
        return ""
    return f"differs by {worst:.3g} where the largest is {scale:.3g}, above {case.tolerance:.3g} of it ({case.reason})"


def _parts(case: Case, returned: Any, given: Arrays) -> Arrays:
    """The results as a tuple; of an operation that returns nothing, the arguments that it wrote over."""
    if returned is None:
        return tuple(given[place] for place in case.overwritten)
    return returned if isinstance(returned, tuple) else (returned,)


def _seen(case: Case, parts: Arrays) -> Arrays:
    return parts if case.view is None else case.view(parts)


def _moved(value: Any, move: Callable[[Any], Any]) -> Any:
    return move(value) if isinstance(value, np.ndarray) or is_device(value) else value
