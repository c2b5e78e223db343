"""What a connectivity run will take, worked out before it starts."""

from dataclasses import dataclass

from thalgpu.engine.machine import usable_cores
from thalgpu.engine.plan import INTERPRETER_BYTES, subjects_that_fit

_BLOCK_BYTES = 64 * 2**20
"""Work space of correlations, whose blocks have a fixed size, and of one compressed map."""


@dataclass(frozen=True)
class ConnectivityPlan:
    """The size of a connectivity run.

    Attributes
    ----------
    n_subjects : subjects in the list that can be used.
    n_seeds, n_targets, n_parcels, n_timepoints : the last the largest over subjects.
    n_elements : voxels or vertices read from each scan, a voxel of two regions twice.
    workers, in_process, worker_bytes, memory_bytes, disk_bytes : as of `GradientsPlan`.
    """

    n_subjects: int
    n_seeds: int
    n_targets: int
    n_parcels: int
    n_timepoints: int
    n_elements: int
    workers: int
    in_process: bool
    worker_bytes: int
    memory_bytes: int
    disk_bytes: int


def plan_connectivity(
    *,
    n_subjects: int,
    n_seeds: int,
    n_targets: int,
    n_parcels: int,
    n_regions: int,
    n_timepoints: int,
    n_elements: int,
    volume_bytes: int,
    map_bytes: int,
    matrix: bool,
    workers: int | None,
    memory: int | None,
) -> ConnectivityPlan:
    """Choose how many workers fit; ResourceError when not even one does.

    Parameters
    ----------
    n_regions : of the region × region matrix.
    volume_bytes : size of one decompressed volume of a scan, which the reader holds a few of.
    map_bytes : size of one map before it is compressed; 0 without maps.
    matrix : whether `regions.tsv` is written.
    workers : processes asked for; None for one a core.
    memory : bytes allowed; None for 90 % of what is free now.
    """
    series = n_timepoints * n_elements * (4 + 4 + 8)  # as read, cleaned, and one float64 block in between
    numbers = 8 * (n_seeds * n_targets + 2 * n_regions**2)
    worker_bytes = INTERPRETER_BYTES + _BLOCK_BYTES + 8 * volume_bytes + series + 2 * numbers + 3 * map_bytes
    allowed, fitting = subjects_that_fit(worker_bytes, memory)
    n_pairs = n_regions * (n_regions - 1) // 2
    cells = n_seeds * n_parcels + (n_pairs if matrix else 0)
    record = 4 * n_seeds * n_targets + 8 * n_regions**2 + 2**16
    return ConnectivityPlan(
        n_subjects=n_subjects,
        n_seeds=n_seeds,
        n_targets=n_targets,
        n_parcels=n_parcels,
        n_timepoints=n_timepoints,
        n_elements=n_elements,
        workers=max(1, min(workers or usable_cores(), n_subjects, fitting)),
        in_process=workers == 1 or n_subjects == 1,
        worker_bytes=worker_bytes,
        memory_bytes=allowed,
        disk_bytes=n_subjects * (record + n_seeds * map_bytes + 12 * cells) + 2**20,
    )
