"""What every command that reads scans is asked: whose scans, which regions, how they are cleaned, who does the work."""

from dataclasses import dataclass, field
from pathlib import Path

from thalgpu.engine.cluster.scheduler import Scheduler
from thalgpu.engine.cluster.shards import Shard
from thalgpu.engine.config import CleaningOptions


@dataclass(frozen=True)
class ScansRequest:
    """The part of a request that `thalgpu gradients` and `thalgpu connectivity` have in common.

    Attributes
    ----------
    subjects : the subject list.
    out : output folder.
    derivatives, input_type : for lists of participant labels.
    thalamus, cortex : `FILE[:LABELS]`, or None to find the regions.
    nuclei : label image of thalamic nuclei, or None.
    cleaning : how time series are cleaned.
    workers : processes, or None for one a core.
    memory : bytes allowed, or None.
    overwrite : replace results that were made with other options.
    scheduler : Dask cluster that does the work, or None for this machine.
    shard : the share of the subjects that is done, without what is the group's; None for all.
    """

    subjects: Path
    out: Path = Path("thalgpu-out")
    derivatives: Path | None = None
    input_type: str | None = None
    thalamus: str | None = None
    cortex: str | None = None
    nuclei: str | None = None
    cleaning: CleaningOptions = field(default_factory=CleaningOptions)
    workers: int | None = None
    memory: int | None = None
    overwrite: bool = False
    scheduler: Scheduler | None = None
    shard: Shard | None = None
