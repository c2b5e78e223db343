"""B11: what it costs to hand out a task that does nothing, in this process, to local processes and to Dask workers."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from thalgpu.bench._result import BenchResult
from thalgpu.engine.cluster.executor import Workers
from thalgpu.engine.cluster.interrupts import Interrupts
from thalgpu.engine.cluster.scheduler import Scheduler

_NAP = 0.3
"""Seconds of a task that is too long to travel with others."""
_START_SECONDS = 60


def run(*, threads: int, quick: bool) -> list[BenchResult]:  # noqa: ARG001 - two workers, of one thread each
    """Wall time a task, with two workers, and how long a worker of a cluster waits between two long tasks."""
    n_tasks, n_naps = (200, 4) if quick else (4_000, 20)
    with Workers(1, Interrupts(), in_process=True) as workers:
        found = [_result("in this process", _milliseconds(workers, _nothing, n_tasks))]
    with Workers(2, Interrupts()) as workers:
        found.append(_result("two local processes", _milliseconds(workers, _nothing, n_tasks)))
    if find_spec("distributed") is None:  # an extra, which one machine has no use for
        return found
    with (
        tempfile.TemporaryDirectory() as folder,
        _dask_cluster(Path(folder)) as scheduler,
        Workers(2, Interrupts(), scheduler=scheduler, shared=Path(folder)) as workers,
    ):
        found.append(_result("two Dask workers", _milliseconds(workers, _nothing, n_tasks)))
        waits = 2 * _milliseconds(workers, _nap, n_naps) - 1_000 * _NAP
        found.append(_result("two Dask workers", waits, f"wait of a worker between tasks of {_NAP} s", 100 * _NAP))
    return found


def _result(
    where: str, milliseconds: float, title: str = "a task that does nothing, out and back", allowed: float = 5
) -> BenchResult:
    return BenchResult(
        claim="B11",
        title=title,
        ours_label=where,
        ours_seconds=milliseconds,
        ref_label="allowed",
        ref_seconds=allowed,
        unit="ms",
        target=f"<= {allowed:g}",
    )


def _nothing(task: int) -> int:
    return task


def _nap(task: int) -> int:
    time.sleep(_NAP)
    return task


def _milliseconds(workers: Workers, function: Callable[[int], int], n_tasks: int) -> float:
    """Wall time a task, once all workers have had some."""
    seconds = 0.0
    for n in (8, n_tasks):
        began = time.perf_counter()
        for outcome in workers.run(function, range(n)):
            if outcome.result != outcome.task:
                raise AssertionError(f"task {outcome.task}: {outcome.error}")
        seconds = time.perf_counter() - began
    return 1_000 * seconds / n_tasks


@contextmanager
def _dask_cluster(folder: Path) -> Iterator[Scheduler]:
    """A scheduler and two workers in processes of their own, encrypted, as docs/clusters.md has it."""
    distributed = import_module("distributed")
    security = distributed.Security.temporary()
    texts = {"ca-file": security.tls_ca_file, "cert": security.tls_client_cert, "key": security.tls_client_key}
    files = {name: folder / f"{name}.pem" for name in texts}
    for name, file in files.items():
        file.write_text(texts[name], encoding="utf-8")
    place = folder / "scheduler.json"
    common = [word for name, file in files.items() for word in (f"--tls-{name}", str(file))]
    common += ["--protocol", "tls", "--host", "127.0.0.1", "--scheduler-file", str(place)]
    common += ["--no-dashboard", "--dashboard-address", "127.0.0.1:0"]
    with ExitStack() as started:
        for what in (
            ["scheduler", "--port", "0"],
            ["worker", "--nworkers", "2", "--nthreads", "1", "--local-directory", str(folder)],
        ):
            command = [sys.executable, "-m", "dask", *what, *common]
            process = started.enter_context(subprocess.Popen(command, stderr=subprocess.DEVNULL))
            started.callback(process.terminate)
            deadline = time.monotonic() + _START_SECONDS
            while not place.exists() and time.monotonic() < deadline:
                time.sleep(0.1)
        with distributed.Client(scheduler_file=str(place), security=security, set_as_default=False) as client:
            client.wait_for_workers(2, timeout=_START_SECONDS)
        yield Scheduler(str(place), tls_ca=files["ca-file"], tls_cert=files["cert"], tls_key=files["key"])
