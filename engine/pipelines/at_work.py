"""What every command begins with: room on the disk, a folder of its own, signals caught, workers ready."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from thalgpu.engine.cluster.executor import Workers
from thalgpu.engine.cluster.interrupts import Interrupts, catch_interrupts
from thalgpu.engine.cluster.scheduler import Scheduler
from thalgpu.engine.cluster.shards import Shard
from thalgpu.engine.outputs.atomic import check_space, sweep_temporaries
from thalgpu.engine.outputs.locks import hold
from thalgpu.engine.progress import Progress


class WorkRequest(Protocol):
    """The part of a request that says where a run writes, and who does the work."""

    @property
    def out(self) -> Path:
        """The output folder."""

    @property
    def shard(self) -> Shard | None:
        """The share that is done; None for all."""

    @property
    def scheduler(self) -> Scheduler | None:
        """Dask cluster that does the work, or None for this machine."""


class WorkPlan(Protocol):
    """The part of a plan that says how many work here."""

    @property
    def workers(self) -> int:
        """Processes."""

    @property
    def in_process(self) -> bool:
        """The work is done in this process."""


@contextmanager
def own_folder(request: WorkRequest, disk_bytes: int) -> Iterator[Interrupts]:
    """Hold the output folder, with the other shards if this is one, and note signals until the end.

    Parameters
    ----------
    request : whose run this is.
    disk_bytes : what it will write.

    Raises
    ------
    ResourceError
        The disk has no room for it, or another run is at work in the folder.
    """
    check_space(request.out, disk_bytes)
    with hold(request.out, request.shard.name if request.shard else None), catch_interrupts() as interrupts:
        if request.shard is None:  # the others are at work on theirs
            sweep_temporaries(request.out)
        yield interrupts


def workers_for(
    request: WorkRequest,
    plan: WorkPlan,
    interrupts: Interrupts,
    progress: Progress,
    *,
    gpus: Sequence[int] = (),
    device_bytes: int = 0,
) -> Workers:
    """Who does a run's tasks; parameters as of `Workers`."""
    return Workers(
        plan.workers,
        interrupts,
        in_process=plan.in_process,
        gpus=gpus,
        scheduler=request.scheduler,
        shared=request.out,
        device_bytes=device_bytes,
        progress=progress,
    )
