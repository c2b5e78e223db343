"""Run independent tasks, here, in local worker processes or on a Dask cluster, and survive a worker's death."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Executor, Future, ProcessPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing.connection import wait as wait_for_sentinel
from multiprocessing.queues import SimpleQueue
from pathlib import Path
from typing import Generic, Self, TypeVar

from thalgpu.engine.cluster.dask_executor import DaskExecutor, NotBegun
from thalgpu.engine.cluster.devices import set_worker_gpu
from thalgpu.engine.cluster.interrupts import Interrupted, Interrupts
from thalgpu.engine.cluster.local_cluster import start_local_cluster
from thalgpu.engine.cluster.scheduler import Scheduler
from thalgpu.engine.progress import Progress, silent
from thalgpu.errors import WorkerDiedError

Task = TypeVar("Task")
Result = TypeVar("Result")

GRACE_SECONDS = 25.0
"""How long running tasks may go on after a signal before their processes are ended."""


@dataclass(frozen=True)
class Outcome(Generic[Task, Result]):
    """One task and what became of it: a result, or the error that ended it."""

    task: Task
    result: Result | None = None
    error: Exception | None = None


class InProcessExecutor(Executor):
    """Runs each task at once in this process: the reference that worker processes are compared with."""

    def submit(self, fn, /, *args, **kwargs):  # type: ignore[no-untyped-def]  # the base class's generic signature
        """Call `fn` now; its result or exception is in the returned future."""
        future: Future[object] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # a future carries whatever its task raised
            future.set_exception(error)
        return future


class Workers:
    """Runs tasks in `n_workers` local processes, one after the other in this process itself, or on a Dask cluster.

    Each local process gets a GPU of its own where there are any. Processes start, and the cluster is called, with the
    first task, and serve every later stage. Use it as a context manager.

    Parameters
    ----------
    n_workers, in_process, gpus : of this machine.
    interrupts : after a signal nothing new starts.
    scheduler : of the Dask cluster that is used instead, or None. A local one is started with `n_workers` and `gpus`,
        whatever `in_process` says.
    shared : the output folder, which a cluster's workers must see.
    device_bytes : what a worker needs of its GPU.
    progress : told where the dashboard of a cluster is that is started here.
    """

    def __init__(
        self,
        n_workers: int,
        interrupts: Interrupts,
        *,
        in_process: bool = False,
        gpus: Sequence[int] = (),
        scheduler: Scheduler | None = None,
        shared: Path = Path(),
        device_bytes: int = 0,
        progress: Progress = silent,
    ) -> None:
        self._gpus = gpus
        self._device_bytes = device_bytes
        self._progress = progress
        self._scheduler = scheduler
        self._shared = shared
        self._in_process = in_process
        self._n_workers = n_workers
        self._interrupts = interrupts
        self._executor: Executor | None = None
        self._own_cluster = ExitStack()
        self._leaving: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, Interrupted):
            self._kill()  # a second signal waits for nobody
        if self._leaving is not None:
            self._leaving.join()
        self._close()

    def dismiss(self) -> None:
        """Let local processes end while this one goes on: no task will follow."""
        if isinstance(self._executor, ProcessPoolExecutor):
            self._leaving = threading.Thread(target=self._close)
            self._leaving.start()

    def run(self, function: Callable[[Task], Result], tasks: Sequence[Task]) -> Iterator[Outcome[Task, Result]]:
        """Yield an outcome a task, in the order of completion; whoever needs an order sorts.

        A task whose worker died is suspect, like all that ran beside it: suspects are run again one by one, each in a
        process of its own, and only the one that kills that process too is given up. After a signal nothing new starts.
        """
        suspects: list[Task] = []
        yield from self._drain(function, tasks, suspects)
        for task in suspects:
            if self._interrupts.requested:
                return
            yield from self._alone(function, task)

    def _drain(
        self, function: Callable[[Task], Result], tasks: Sequence[Task], suspects: list[Task]
    ) -> Iterator[Outcome[Task, Result]]:
        """Keep as many tasks in flight as there are workers; what a dead worker leaves unfinished becomes suspect."""
        waiting = list(reversed(tasks))
        running: dict[Future[Result], Task] = {}
        while waiting or running:
            running |= self._start(function, waiting, len(running), suspects)
            if self._interrupts.requested:
                waiting = []
                if time.monotonic() > self._interrupts.since + GRACE_SECONDS:
                    self._kill()
                    return
            if waiting and not running:
                time.sleep(0.1)  # for a cluster whose workers have gone and may come back
            finished, _ = wait(running, timeout=0.5, return_when=FIRST_COMPLETED)
            for future in finished:
                task, error = running.pop(future), future.exception()
                if isinstance(error, BrokenExecutor):
                    suspects.append(task)
                elif isinstance(error, NotBegun):
                    waiting.append(task)
                elif isinstance(error, Exception):
                    yield Outcome(task, error=error)
                elif error is not None:
                    raise error
                else:
                    yield Outcome(task, result=future.result())

    def _alone(self, function: Callable[[Task], Result], task: Task) -> Iterator[Outcome[Task, Result]]:
        """Run a suspect in a process of its own, where its death takes nobody along."""
        if self._scheduler is None:
            self._close()
            self._executor = _process_pool(1, self._gpus)
        died: list[Task] = []
        yield from self._drain(function, [task], died)
        if died and not self._interrupts.requested:
            is_here = self._scheduler is None or self._scheduler.is_local
            remedy = "use fewer --workers" if is_here else "give workers more"
            remedy = f"it may have run out of memory: {remedy}"
            yield Outcome(task, error=WorkerDiedError("the worker process died", remedy=remedy))
        if self._scheduler is None:
            self._close()

    def _start(
        self, function: Callable[[Task], Result], waiting: list[Task], n_running: int, suspects: list[Task]
    ) -> dict[Future[Result], Task]:
        """Start as many tasks as may now, from the end of `waiting`."""
        if self._scheduler is not None:
            executor = self._open()
            assert isinstance(executor, DaskExecutor)
            return executor.start(function, [] if self._interrupts.requested else waiting)
        started: dict[Future[Result], Task] = {}
        while waiting and n_running + len(started) < self._n_workers and not self._interrupts.requested:
            task = waiting.pop()
            try:
                started[self._open().submit(function, task)] = task
            except BrokenExecutor:
                suspects.append(task)
                self._close()
        return started

    def _open(self) -> Executor:
        if self._executor is None:
            if self._scheduler is not None:
                self._executor = DaskExecutor(self._reach(self._scheduler), self._shared)
            elif self._in_process:
                set_worker_gpu(self._gpus[0] if self._gpus else None)
                self._executor = InProcessExecutor()
            else:
                self._executor = _process_pool(self._n_workers, self._gpus)
        return self._executor

    def _reach(self, scheduler: Scheduler) -> Scheduler:
        """The scheduler itself, or that of a cluster started in its place."""
        if not scheduler.is_local:
            return scheduler
        started = start_local_cluster(
            self._n_workers, self._gpus, device_bytes=self._device_bytes, progress=self._progress
        )
        return self._own_cluster.enter_context(started)

    def _close(self) -> None:
        try:
            if self._executor is not None:
                self._executor.shutdown(wait=True, cancel_futures=True)
                self._executor = None
        finally:
            self._own_cluster.close()

    def _kill(self) -> None:
        if isinstance(self._executor, DaskExecutor):
            self._executor.abandon()
        for process in list((getattr(self._executor, "_processes", None) or {}).values()):
            process.kill()


def _process_pool(workers: int, gpus: Sequence[int]) -> ProcessPoolExecutor:
    # spawn: a forked child would inherit BLAS and HDF5 locks in an unknown state
    context = multiprocessing.get_context("spawn")
    free: SimpleQueue[int] = context.SimpleQueue()
    for number in gpus:
        free.put(number)
    taken = (free,) if gpus else ()
    return ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker, initargs=taken)


def _start_worker(free_gpus: "SimpleQueue[int] | None" = None) -> None:
    """Take a GPU nobody has, leave Ctrl-C to the parent, and never outlive it."""
    if free_gpus is not None:
        set_worker_gpu(free_gpus.get())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    threading.Thread(target=_die_with_parent, daemon=True).start()


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait_for_sentinel([parent.sentinel])
        os._exit(1)
