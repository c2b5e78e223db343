"""Tasks on an existing Dask cluster, behind the same door as local processes.

Dask repeats the tasks of a worker that died, up to three times, and so does whatever ran beside them: one task that
kills its worker would kill four. Here every task is bound to one worker that has nothing else to do; when that worker
is gone the task is given back as broken, and who asked decides (`Workers` runs it once more, alone).

A round trip takes some 20 ms. Tasks that prove to be shorter than `BUNDLE_SECONDS` travel several at a time, bound to
one worker like a single one: when it goes all are given back as broken, and those for which no time was left as not
begun.
"""

import importlib
import math
import os
import secrets
import time
from collections.abc import Callable, Sequence
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, InvalidStateError
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, TypeVar

from thalgpu.engine.cluster.common import Common, forget
from thalgpu.engine.cluster.dask_worker import BUNDLE_SECONDS, About, Answer, about_worker, run_tasks, versions
from thalgpu.engine.cluster.scheduler import Scheduler
from thalgpu.engine.outputs.atomic import write_text
from thalgpu.errors import ResourceError

Task = TypeVar("Task")
Result = TypeVar("Result")

CONNECT_SECONDS = 20
"""How long a scheduler may take to answer."""
PATIENCE_SECONDS = 120.0
"""How long the run waits for a first worker, or for one more after all have gone."""
_MOST_IN_A_BUNDLE = 32
_LOOK_SECONDS = 0.5
_UNBOUNDED = {"distributed.admin.large-graph-warning-threshold": "1TiB"}
"""Dask warns of tasks above 10 MB; the first to each worker may be larger."""


class WorkerLost(BrokenExecutor):
    """The worker that had the task is gone."""


class NotBegun(Exception):
    """Those that travelled with it, before it, took longer than was thought."""


class WorkerTraceback(Exception):
    """The traceback of an error on a worker, as its cause."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


class _Running(NamedTuple):
    """A bundle at work: what is promised here, one a task, and Dask's own promise."""

    here: Sequence[Future[Any]]
    there: Any


class DaskExecutor(Executor):
    """Runs each task, or a bundle of short ones, on a worker of its own of a Dask cluster.

    Parameters
    ----------
    scheduler : where it is.
    shared : the output folder, which all workers must see.

    Raises
    ------
    UsageError, InputError
        Its address or certificates cannot be used.
    ResourceError
        Dask is not installed; nobody answers; workers are of other versions, or do not see the folder.
    """

    def __init__(self, scheduler: Scheduler, shared: Path) -> None:
        self._scheduler = scheduler
        self._folder, self._secret = os.getcwd(), secrets.token_hex(16)
        self._token = shared / f".thalgpu-{os.getpid()}-{secrets.token_hex(4)}.tmp"  # swept after a crash
        self._common = Common(self._secret)
        self._running: dict[str, _Running] = {}
        self._workers: dict[str, About] = {}
        self._looked = self._last_seen = 0.0
        self._function: object = None
        self._task_seconds = math.inf  # of the function's last bundle; not known yet
        self._distributed = _distributed()
        self._dask = importlib.import_module("dask")
        self._client = _connect(self._distributed, scheduler)
        try:
            write_text(self._token, self._secret)
            self._wait_for_workers()
        except BaseException:
            self.abandon()
            self.shutdown()
            raise

    def start(self, fn: Callable[[Task], Result], waiting: list[Task]) -> dict[Future[Result], Task]:
        """Give every worker that has nothing to do a task, or a bundle; they are taken from the end of `waiting`.

        Raises
        ------
        ResourceError
            The scheduler has gone, or there has been no worker at all for two minutes.
        """
        self._look()
        if fn is not self._function:
            self._function, self._task_seconds = fn, math.inf
        started: dict[Future[Result], Task] = {}
        for worker in [one for one in self._workers if one not in self._running]:
            bundle = [waiting.pop() for _ in range(min(self._bundle_size(len(waiting)), len(waiting)))]
            if bundle:
                started |= zip(self._bind(worker, fn, bundle), bundle, strict=True)
        return started

    def _bundle_size(self, n_waiting: int) -> int:
        """Tasks that fill `BUNDLE_SECONDS`, while there are enough of them for all workers."""
        wanted = BUNDLE_SECONDS / max(self._task_seconds, BUNDLE_SECONDS / _MOST_IN_A_BUNDLE)
        return max(1, math.ceil(min(wanted, n_waiting / len(self._workers))))

    def _bind(self, worker: str, fn: Callable[[Task], Result], bundle: Sequence[Task]) -> list[Future[Result]]:
        """Send tasks to a worker that has nothing to do."""
        on_gpu = self._workers[worker].gpu is not None
        here: list[Future[Result]] = [Future() for _ in bundle]
        for one in here:
            one.set_running_or_notify_cancel()
        packed = [self._common.pack(worker, task) for task in bundle]
        with self._dask.config.set(_UNBOUNDED):
            there = self._client.submit(
                run_tasks, fn, packed, self._folder, on_gpu=on_gpu, pure=False, retries=0, workers=[worker]
            )
        self._running[worker] = _Running(here, there)
        there.add_done_callback(lambda done: self._take(worker, here, done))
        return here

    def abandon(self) -> None:
        """Wait for nothing any more: what is at work ends by itself, and nobody hears of it."""
        for one in list(self._running.values()):
            with suppress(OSError, TimeoutError):
                one.there.cancel(force=True)
        self._running = {}

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002 -- none wait here
        """Wait for what is at work, then take leave of the cluster, which goes on."""
        with suppress(ResourceError):  # a cluster that has gone is what was wanted
            while wait and self._running:
                self._look()
                time.sleep(0.05)
        with suppress(OSError):
            self._token.unlink(missing_ok=True)
        if self._client.status == "running":
            with suppress(OSError, TimeoutError, CancelledError, RuntimeError):
                self._client.run(forget, self._secret, on_error="ignore")
        self._client.close(timeout=5)

    def _take(self, worker: str, here: Sequence[Future[Any]], done: Any) -> None:
        """Pass on what a worker answered; called by Dask in a thread of its own."""
        scheduler = self._distributed.scheduler
        answers: list[Answer]
        try:
            answers = done.result()
            self._task_seconds = sum(answer.seconds for answer in answers) / len(answers)
            answers += [Answer(error=NotBegun())] * (len(here) - len(answers))
        except (CancelledError, scheduler.KilledWorker, scheduler.NoValidWorkerError):
            answers = [Answer(error=WorkerLost(worker))] * len(here)
        except Exception as error:  # a task or a result that cannot travel: alone, it is known which
            answers = [Answer(error=error if len(here) == 1 else WorkerLost(worker))] * len(here)
        self._running.pop(worker, None)
        for one, answer in zip(here, answers, strict=True):
            with suppress(InvalidStateError):  # it was given up meanwhile
                _settle(one, answer)

    def _look(self) -> None:
        """Who is there, every half second: tasks of those who are not are broken, newcomers are checked."""
        if time.monotonic() < self._looked + _LOOK_SECONDS:
            return
        try:
            present = set(self._client.nthreads())
        except (OSError, TimeoutError, CancelledError, RuntimeError) as error:
            raise self._gone(error) from error
        self._looked = time.monotonic()
        for worker in set(self._running) - present:
            lost = self._running.pop(worker)
            for one in lost.here:
                with suppress(InvalidStateError):
                    one.set_exception(WorkerLost(worker))
            lost.there.cancel(force=True)
        self._workers = {worker: about for worker, about in self._workers.items() if worker in present}
        self._check(sorted(present - set(self._workers)))
        if present:
            self._last_seen = self._looked
        elif self._looked > self._last_seen + PATIENCE_SECONDS:
            raise ResourceError(
                f"no Dask worker for {PATIENCE_SECONDS:.0f} s",
                where=self._scheduler.place,
                remedy="start workers, then run the same command to go on",
            )

    def _wait_for_workers(self) -> None:
        self._last_seen = time.monotonic()
        self._look()
        while not self._workers:
            time.sleep(_LOOK_SECONDS)
            self._look()

    def _check(self, newcomers: list[str]) -> None:
        """Workers must run what we run, see what we write, and work on the same kind of device."""
        if not newcomers:
            return
        given = (self._folder, str(self._token), self._secret)
        ask_gpu = not self._scheduler.cpu_only
        told = self._client.run(about_worker, *given, ask_gpu=ask_gpu, workers=newcomers, on_error="return")
        for worker, about in told.items():
            if isinstance(about, OSError):
                continue  # it went while it was asked; if it is there, it is asked again
            self._workers[worker] = _checked(worker, about, self._token.parent)
        if self._scheduler.gpu_only and any(about.gpu is None for about in self._workers.values()):
            raise ResourceError(
                "a Dask worker finds no GPU that it can compute on", remedy="see thalgpu doctor, or use --gpus 0"
            )
        if len({about.gpu is None for about in self._workers.values()}) > 1:
            raise ResourceError(
                "some Dask workers have a GPU and some have none, whose results differ in the last digits",
                remedy="use workers of one kind, or --gpus 0",
            )

    def _gone(self, error: BaseException) -> ResourceError:
        self.abandon()
        return ResourceError(
            f"the Dask scheduler has gone ({type(error).__name__})",
            where=self._scheduler.place,
            remedy="start it again, then run the same command to go on",
        )


def _settle(here: Future[Any], answer: Answer) -> None:
    if answer.error is not None:
        if answer.trace:
            answer.error.__cause__ = WorkerTraceback(answer.trace)
        here.set_exception(answer.error)
    else:
        here.set_result(answer.result)


def _checked(worker: str, about: "About | Exception", out: Path) -> About:
    if not isinstance(about, About):
        raise ResourceError(
            f"Dask worker {worker} cannot run thalgpu: {type(about).__name__}: {about}",
            remedy="install the same version of thalgpu where workers run",
        )
    ours = versions()
    other = [
        f"{name} {theirs} there, {ours[name]} here" for name, theirs in about.versions.items() if ours[name] != theirs
    ]
    if other:
        raise ResourceError(
            f"Dask worker {worker} has other versions: {'; '.join(other)}",
            remedy="use one environment for the client and all workers",
        )
    if not about.sees_token:
        raise ResourceError(
            f"Dask worker {worker} does not see the output folder",
            where=str(out.absolute()),
            remedy="choose an --out on a disk that all nodes share under the same path",
        )
    return about


def _connect(distributed: ModuleType, scheduler: Scheduler) -> Any:
    """A client of the scheduler."""
    address, security = scheduler.address(), scheduler.security()
    encrypted = address.startswith("tls://")
    try:
        return distributed.Client(
            address,
            security=distributed.Security(require_encryption=encrypted, **security),
            timeout=CONNECT_SECONDS,
            set_as_default=False,
            name="thalgpu",
        )
    except (OSError, TimeoutError, TypeError, RuntimeError) as error:
        raise ResourceError(
            f"no Dask scheduler answers: {error}",
            where=address,
            remedy="see that it runs, and that --tls-ca, --tls-cert and --tls-key are its own"
            if encrypted
            else "see that it runs",
        ) from error


def _distributed() -> ModuleType:
    try:
        return importlib.import_module("distributed")
    except ImportError as error:
        raise ResourceError("--scheduler needs Dask", remedy="pip install 'thalgpu[cluster]'") from error
