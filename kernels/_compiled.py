"""Loops that NumPy cannot do in one pass, as machine code made on their first call."""

import functools
import threading
from collections.abc import Callable
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, Generic, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R", covariant=True)


class Compiled(Generic[P, R]):
    """A function that Numba compiles when it is first called; see `compiled`."""

    def __init__(self, function: Callable[P, R]) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        self._lock = threading.Lock()
        self._machine_code: Callable[..., R] | None = None
        self._may_cache = True

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return self._dispatcher()(*args, **kwargs)
        except OSError:  # only from writing the cache: a full disk, a folder that has become read-only
            if not self._may_cache:
                raise
        with self._lock:
            self._may_cache, self._machine_code = False, None
        return self._dispatcher()(*args, **kwargs)

    def __reduce__(self) -> str:
        return self._function.__qualname__  # to workers it goes by its name, as functions do

    def cache_folder(self) -> Path | None:
        """Where machine code is kept for later processes; None where no folder for it can be written."""
        folder = self._dispatcher().stats.cache_path  # type: ignore[attr-defined]  # of Numba, which has no types
        return None if folder is None else Path(folder)

    def is_kept(self) -> bool:
        """Whether machine code, no older than the source, is in the cache folder: nobody need wait for it."""
        folder, code = self.cache_folder(), self._function.__code__
        if folder is None:
            return False
        kept = folder.glob(f"*.{self._function.__qualname__}-{code.co_firstlineno}.*.nbi")
        written = Path(code.co_filename).stat().st_mtime
        return any(index.stat().st_mtime >= written for index in kept)

    def _dispatcher(self) -> Callable[..., R]:
        """What Numba makes of the function; all that it calls is compiled with it."""
        with self._lock:
            if self._machine_code is None:
                self._machine_code = _jit(_with_compiled_callees(self._function), self._may_cache)
            return self._machine_code


def compiled(function: Callable[P, R]) -> Compiled[P, R]:
    """Compile a function of arrays and numbers on its first call; Numba is not imported before.

    Parameters
    ----------
    function : defined at the top of a module. It may call other compiled functions of its module, and may not raise.

    Returns
    -------
    A function of the same arguments, which can be sent to workers.

    Notes
    -----
    Without the GIL, so that threads run side by side; one thread a call and no reassociation of sums, so that the bits
    depend on nothing else; divisions by zero give inf or NaN, as in NumPy. The machine code is kept beside the source
    or in the user's cache folder, and made anew in every process where neither can be written.
    """
    return Compiled(function)


def loops_of(module: ModuleType) -> list[Compiled[..., Any]]:
    """The compiled functions of a module."""
    return [one for one in vars(module).values() if isinstance(one, Compiled)]


def _with_compiled_callees(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, whose names of compiled functions stand for what Numba can call."""
    assert isinstance(function, FunctionType)
    own = {name for name in function.__code__.co_names if isinstance(function.__globals__.get(name), Compiled)}
    if not own:
        return function
    names = function.__globals__ | {name: function.__globals__[name]._dispatcher() for name in own}
    twin = FunctionType(function.__code__, names, function.__name__, function.__defaults__, function.__closure__)
    return functools.update_wrapper(twin, function)


def _jit(function: Callable[..., Any], may_cache: bool) -> Callable[..., Any]:
    import numba

    machine_code: Callable[..., Any]
    try:
        machine_code = numba.njit(function, cache=may_cache, nogil=True, error_model="numpy")
    except RuntimeError:  # "no locator available": no folder for a cache can be written
        machine_code = numba.njit(function, cache=False, nogil=True, error_model="numpy")
    return machine_code
