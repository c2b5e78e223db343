"""A Dask cluster of this machine that a run starts and ends itself: `--scheduler local`.

Dask's `LocalCluster`, or dask-cuda's `LocalCUDACluster` with one worker a GPU. Everything listens on loopback only, and
all but the dashboard asks for a certificate that was made for this run and is kept in memory.
"""

import asyncio
import importlib
import importlib.util
import logging
import os
import signal
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from types import ModuleType
from typing import Any

from thalgpu.engine.cluster.scheduler import Scheduler
from thalgpu.engine.machine import find_gpus
from thalgpu.engine.progress import Event, Progress
from thalgpu.errors import ResourceError

HOST = "127.0.0.1"
CLOSE_SECONDS = 1.5
"""How long a worker may take to end before it is killed; the run has waited for its task, or has given it up."""
_DEVICE_SHARE = 0.9  # of what is free on a GPU, as of main memory

OPTIONS: dict[str, Any] = {
    "threads_per_worker": 1,
    "host": HOST,
    "protocol": "tls://",
    "dashboard_address": f"{HOST}:0",
    "memory_limit": None,  # Dask's limit would halt a worker for good: what tasks use is not Dask's to move to the disk
    "silence_logs": logging.ERROR,  # a worker's death is told by the run
}
_PAGES = {"distributed.scheduler.http.routes": [f"distributed.http.{name}" for name in ("scheduler.info", "statics")]}
"""The dashboard has no password: pages to look at, and neither Dask's way on to other ports nor one to stop workers."""


@dataclass(frozen=True)
class OwnScheduler(Scheduler):
    """The scheduler of a cluster that this run has started.

    Attributes
    ----------
    certificates : what `distributed.Security` is to be told, with the PEM texts themselves.
    """

    certificates: Mapping[str, str] = field(default_factory=dict, repr=False)

    def security(self) -> dict[str, Any]:
        """The texts themselves, which we write to no file."""
        return dict(self.certificates)


@contextmanager
def start_local_cluster(
    n_workers: int, gpus: Sequence[int], *, device_bytes: int, progress: Progress
) -> Iterator[OwnScheduler]:
    """Start a cluster, say where its dashboard is, and end it.

    Parameters
    ----------
    n_workers : processes, of one thread each.
    gpus : numbers of the GPUs, of which each worker gets one; empty for the CPU.
    device_bytes : what a worker will need of its GPU.
    progress : told where the dashboard is.

    Raises
    ------
    ResourceError
        Dask or dask-cuda is not installed, or cannot start a cluster here.
    """
    distributed = _installed("distributed", "pip install 'thalgpu[cluster]'")
    _installed("cryptography", "pip install 'thalgpu[cluster]'")
    security = distributed.Security.temporary()
    with tempfile.TemporaryDirectory(prefix="thalgpu-dask-", ignore_cleanup_errors=True) as folder:
        options = {"n_workers": n_workers, "local_directory": folder, "security": security} | OPTIONS
        with _started(distributed, options, gpus, device_bytes) as cluster:
            progress(Event("note", _where(cluster)))
            yield OwnScheduler(
                cluster.scheduler_address,
                cpu_only=not gpus,
                gpu_only=bool(gpus),
                certificates={
                    name: getattr(security, name) for name in ("tls_ca_file", "tls_client_cert", "tls_client_key")
                },
            )


def gpu_options(gpus: Sequence[int], device_bytes: int) -> dict[str, Any]:
    """What `LocalCUDACluster` is told beyond what `LocalCluster` is.

    Parameters
    ----------
    gpus : their numbers, as this process counts them.
    device_bytes : what a worker will need, and what an RMM pool, where RMM is installed, begins with.
    """
    limit = int(_DEVICE_SHARE * min(gpu.free_bytes for gpu in find_gpus() if gpu.index in gpus))
    options: dict[str, Any] = {"CUDA_VISIBLE_DEVICES": _names(gpus), "device_memory_limit": limit}
    if importlib.util.find_spec("rmm") is not None:
        options |= {
            "rmm_pool_size": min(device_bytes, limit),
            "rmm_maximum_pool_size": limit,
            "rmm_allocator_external_lib_list": ["cupy"],  # CuPy has a pool of its own, and is told to use this one
        }
    return options


def _names(gpus: Sequence[int]) -> list[int | str]:
    """What CUDA_VISIBLE_DEVICES calls them: a batch job's GPU 0 may be the machine's GPU 4."""
    visible = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return [visible[number] for number in gpus] if visible else list(gpus)


@contextmanager
def _started(
    distributed: ModuleType, options: Mapping[str, Any], gpus: Sequence[int], device_bytes: int
) -> Iterator[Any]:
    """The cluster; at the end its workers are asked to stop, and killed if they do not."""
    start, errors = distributed.LocalCluster, [OSError, RuntimeError, TimeoutError, ValueError]
    if gpus:
        start = _installed("dask_cuda", "pip install 'thalgpu[cuda12]' (or [cuda13], by your driver)").LocalCUDACluster
        errors.append(importlib.import_module("pynvml").NVMLError)  # dask-cuda asks the driver through it
        options = {**options, **gpu_options(gpus, device_bytes)}
    try:
        with _deaf_to_ctrl_c(), importlib.import_module("dask").config.set(_PAGES):
            cluster = start(**options)
    except tuple(errors) as error:
        raise ResourceError(
            f"--scheduler local: no cluster starts here: {_cause(error)}", remedy="leave out --scheduler local"
        ) from error
    with cluster:
        try:
            yield cluster
        finally:
            cluster.sync(_end_workers, cluster)


async def _end_workers(cluster: Any) -> None:
    ending = [nanny.close(timeout=CLOSE_SECONDS) for nanny in cluster.workers.values()]
    await asyncio.gather(*ending, return_exceptions=True)


@contextmanager
def _deaf_to_ctrl_c() -> Iterator[None]:
    """Threads that start inside, and all processes that those start, get no SIGINT: the run answers it for them."""
    resource_tracker.ensure_running()  # whichever thread starts it is no longer deaf
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _where(cluster: Any) -> str:
    if importlib.util.find_spec("bokeh") is not None:
        return f"dashboard   {cluster.dashboard_link}"
    port = cluster.scheduler_info["services"]["dashboard"]
    return f"workers     http://{HOST}:{port}/info/main/workers.html (for a dashboard: pip install bokeh)"


def _installed(name: str, remedy: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ResourceError(f"--scheduler local: no {name} can be imported: {error}", remedy=remedy) from error


def _cause(error: BaseException) -> str:
    """The first of a chain of errors, in words: Dask's last says only that something failed to start."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {error}"
