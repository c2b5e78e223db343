"""What a Dask worker is asked: who it is, and to run tasks. Nothing here imports Dask."""

import contextlib
import importlib.metadata
import platform
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thalgpu import __version__
from thalgpu.engine.cluster.common import Share, unpack
from thalgpu.engine.cluster.devices import set_worker_gpu
from thalgpu.engine.machine import find_gpus

_ONE_AT_A_TIME = threading.Lock()  # working folder, BLAS threads and warnings are the whole process's

BUNDLE_SECONDS = 0.25
"""Work that a worker is given at once, where tasks are shorter: a tenth of it is lost to the round trip."""

_SAME = ("numpy", "scipy", "numba", "nibabel", "h5py")
"""Packages whose versions may show in the bits of results."""


@dataclass(frozen=True)
class Answer:
    """What became of a task: its result, or an error with the traceback in words, and the wall time that it took."""

    result: Any = None
    error: Exception | None = None
    trace: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class About:
    """What a worker says of itself.

    Attributes
    ----------
    versions : of Python, thalgpu and the packages whose arithmetic is used.
    sees_token : whether it reads, in the run's output folder, what the run has written there.
    gpu : name of its GPU; None without one that computes, or where nobody asked.
    """

    versions: dict[str, str]
    sees_token: bool
    gpu: str | None


def versions() -> dict[str, str]:
    """Of whatever must be the same on both sides."""
    found = {"Python": ".".join(platform.python_version_tuple()[:2]), "thalgpu": __version__}
    return found | {name: importlib.metadata.version(name) for name in _SAME}


def about_worker(folder: str, token: str, secret: str, *, ask_gpu: bool) -> About:
    """Say who this worker is; it must see the `secret` in the file `token`, which is relative to `folder`."""
    try:
        sees = Path(folder, token).read_text() == secret and Path(folder).is_dir()
    except OSError:
        sees = False
    gpu = None
    if ask_gpu:
        with contextlib.suppress(RuntimeError):
            gpu = next((one.name for one in find_gpus(at_most=1)), None)  # the others have a worker each
    return About(versions(), sees, gpu)


def run_tasks(
    function: Callable[[Any], Any], packed: Sequence[tuple[Any, Share | None]], folder: str, *, on_gpu: bool
) -> list[Answer]:
    """Run tasks one after the other as a process of our own would, with paths relative to the client's folder.

    Errors are answers: Dask would log the task, which names people's files. Once `BUNDLE_SECONDS` are over none is
    begun any more, and there are fewer answers than tasks.
    """
    tasks = [unpack(task, share) for task, share in packed]  # what is told with one is told, even if it is not begun
    answers: list[Answer] = []
    began = time.perf_counter()
    with _ONE_AT_A_TIME, contextlib.chdir(folder):
        set_worker_gpu(0 if on_gpu else None)  # dask cuda worker lets each process see its own as number 0
        for task in tasks:
            answers.append(_run_task(function, task))
            if time.perf_counter() > began + BUNDLE_SECONDS:
                break
    return answers


def _run_task(function: Callable[[Any], Any], task: Any) -> Answer:
    began = time.perf_counter()
    try:
        return Answer(result=function(task), seconds=time.perf_counter() - began)
    except Exception as error:  # an answer carries whatever its task raised
        return Answer(error=error, trace=traceback.format_exc(), seconds=time.perf_counter() - began)
