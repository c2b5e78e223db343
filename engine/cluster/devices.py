"""Which devices a run uses, and how a worker gets to one."""

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import TypeAlias

from thalgpu.engine.cluster.scheduler import Scheduler
from thalgpu.engine.machine import Gpu, find_gpus
from thalgpu.errors import ResourceError
from thalgpu.kernels._namespace import Array

Place: TypeAlias = Callable[[Array], Array]
"""Brings a host array to where the work is done."""

_worker_gpu: int | None = None  # a process works on one device for all its life


def choose_gpus(requested: int | None, scheduler: Scheduler | None = None) -> tuple[Gpu, ...]:
    """The GPUs of this machine to use.

    Parameters
    ----------
    requested : how many; 0 for the CPU; None for all that can compute, or the CPU where none can.
    scheduler : whose workers have GPUs of their own or none; this machine's are then left alone, unless it is to be
        started here.

    Raises
    ------
    ResourceError
        Fewer can compute than are asked for; it says why, and what to install.
    """
    if requested == 0 or (scheduler is not None and not scheduler.is_local):
        return ()
    try:
        found = find_gpus()
    except RuntimeError as reason:
        if requested is None:
            return ()
        raise ResourceError(f"--gpus {requested}: {reason}", remedy=_remedy(str(reason))) from reason
    if requested is not None and requested > len(found):
        raise ResourceError(f"--gpus {requested}: {len(found)} can be used here", remedy=f"--gpus {len(found)}")
    return found[:requested]


def on_host(array: Array) -> Array:
    """Leave a host array where it is."""
    return array


@contextmanager
def use_gpu(number: int | None) -> Iterator[Place]:
    """Make a GPU the current one and yield what brings arrays to it; None leaves them on the host.

    Raises
    ------
    ResourceError
        When the work inside does not fit into the GPU's memory.
    """
    if number is None:
        yield on_host
        return
    cupy = _device_module()
    try:
        with cupy.cuda.Device(number):
            yield cupy.asarray
    except MemoryError as error:
        of_cupy, of_rmm = isinstance(error, cupy.cuda.memory.OutOfMemoryError), "out_of_memory" in str(error)
        if not of_cupy and not of_rmm:
            raise
        raise ResourceError(
            f"GPU {number} is out of memory: {error}",
            remedy="use a larger GPU, or the CPU with --gpus 0",
        ) from error


def set_worker_gpu(number: int | None) -> None:
    """Say which GPU this process works on from now on; None for the CPU."""
    global _worker_gpu
    _worker_gpu = number


def worker_gpu() -> int | None:
    """The GPU that this process works on; None for the CPU."""
    return _worker_gpu


def device_name(number: int | None) -> str:
    """ "cpu", or the GPU's name, for the record."""
    if number is None:
        return "cpu"
    name: bytes = _device_module().cuda.runtime.getDeviceProperties(number)["name"]
    return name.decode()


def _device_module() -> ModuleType:
    return importlib.import_module("cupy")


def _remedy(reason: str) -> str:
    if "no CuPy" in reason:
        return "pip install 'thalgpu[cuda12]' (or [cuda13], by your driver)"
    if "no NVIDIA driver" in reason:
        return "install the driver and 'thalgpu[cuda12]' (or [cuda13]), or use the CPU with --gpus 0"
    return "see thalgpu doctor, or use the CPU with --gpus 0"
