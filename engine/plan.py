"""What a run will take, worked out before it starts: pure functions of shapes and options."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

from thalgpu.engine.config import GradientOptions
from thalgpu.engine.machine import Gpu, cgroup_memory, usable_cores
from thalgpu.errors import ResourceError

INTERPRETER_BYTES = 200 * 2**20
"""Python with NumPy, SciPy, nibabel and h5py in one process."""
TILE_BYTES = 128 * 2**20
"""Work space of the affinity, whose tiles have a fixed size."""
COMPILER_BYTES = 80 * 2**20
"""Numba, and what it takes to compile a loop."""
BATCH_BYTES = 64 * 2**20
"""Products and maps of the permutations that are worked on at once."""
LARGEST_BASIS = 300
"""Pooled eigenvectors that subjects are expressed in, at most."""
SUBJECTS_A_SUM = 32
"""Subjects, or sums of subjects, that one branch of a template's sum adds up: an order of additions, so in its key."""
FEW_BLOCKS = 2
"""So few blocks are done in this process before others would have started."""


@dataclass(frozen=True)
class GradientsPlan:
    """The size of a gradients run.

    Attributes
    ----------
    n_subjects : subjects in the list that can be used.
    n_voxels, n_targets, n_timepoints : the largest over subjects and embeddings.
    n_elements : thalamic voxels and target voxels or vertices read from each scan.
    workers : processes that will run side by side.
    in_process : the work is done in this process, where one task's death would be that of all: only on request, or for
        one subject.
    device : where arrays are worked on, in words.
    gpus : numbers of the GPUs, one a worker; empty for the CPU.
    device_bytes : peak memory of each GPU; 0 for the CPU.
    worker_bytes : peak memory of one process.
    memory_bytes : what the run may take altogether.
    disk_bytes : what it will write.
    """

    n_subjects: int
    n_voxels: int
    n_targets: int
    n_timepoints: int
    n_elements: int
    workers: int
    in_process: bool
    device: str
    gpus: tuple[int, ...]
    device_bytes: int
    worker_bytes: int
    memory_bytes: int
    disk_bytes: int


def plan_gradients(
    *,
    n_subjects: int,
    n_parts: int,
    n_voxels: int,
    n_targets: int,
    n_timepoints: int,
    n_elements: int,
    volume_bytes: int,
    options: GradientOptions,
    workers: int | None,
    memory: int | None,
    gpus: Sequence[Gpu] = (),
) -> GradientsPlan:
    """Choose how many workers fit; ResourceError when not even one does.

    Parameters
    ----------
    n_parts : embeddings a subject.
    volume_bytes : size of one decompressed volume of a scan, which the reader holds a few of.
    workers : processes asked for; None for one a core.
    gpus : each gets one worker; without any, work is done on the CPU.
    memory : bytes allowed; None for 90 % of what is free now.
    """
    keeps_connectivity = "connectivity" in options.keep or options.template == "pooled-connectivity"
    connectivity = 4 * n_voxels * n_targets if keeps_connectivity else 0
    series = n_timepoints * n_elements * (4 + 4 + 8)  # as read, cleaned, and one float64 block in between
    matrices = n_voxels**2 * (4 + 8 + 8)  # affinity, its operator and one work matrix
    sum_bytes = _sum_bytes(n_subjects, n_voxels, n_targets, options)
    subject_bytes = 8 * volume_bytes + max(series, series // 2 + TILE_BYTES + matrices) + connectivity
    # a sum, the same as a file in memory, and one subject's share
    worker_bytes = INTERPRETER_BYTES + max(subject_bytes, 2 * sum_bytes + sum_bytes // 2)
    allowed, fitting = subjects_that_fit(worker_bytes, memory)
    projections = n_targets if "projections" in options.keep else 0
    maps = 4 * options.n_components * 3 * (n_voxels + projections)
    part_bytes = 2 * n_voxels**2 + connectivity + maps + 2**16
    in_process = workers == 1 or n_subjects == 1
    if gpus:
        workers = len(gpus)
    return GradientsPlan(
        n_subjects=n_subjects,
        n_voxels=n_voxels,
        n_targets=n_targets,
        n_timepoints=n_timepoints,
        n_elements=n_elements,
        workers=max(1, min(workers or usable_cores(), n_subjects, fitting)),
        in_process=in_process,
        device=_devices(gpus),
        gpus=tuple(gpu.index for gpu in gpus),
        device_bytes=series + TILE_BYTES + matrices + connectivity if gpus else 0,
        worker_bytes=worker_bytes,
        memory_bytes=allowed,
        disk_bytes=n_subjects * n_parts * part_bytes + sum_bytes * (-(-n_subjects // (SUBJECTS_A_SUM - 1))),
    )


def _sum_bytes(n_subjects: int, n_voxels: int, n_targets: int, options: GradientOptions) -> int:
    """Size of the sum of one branch of the template, which is written where there are several."""
    if n_subjects <= SUBJECTS_A_SUM or options.template not in ("pooled", "pooled-connectivity"):
        return 0
    return 4 * n_voxels**2 if options.template == "pooled" else 12 * n_voxels * n_targets


def subjects_that_fit(worker_bytes: int, memory: int | None) -> tuple[int, int]:
    """Bytes allowed (`memory`, or 90 % of what is free now), and how many subjects at a time that is enough for.

    ResourceError when not even one fits.
    """
    allowed = memory if memory is not None else int(0.9 * available_memory())
    fitting = allowed // worker_bytes
    if fitting < 1:
        raise ResourceError(
            f"one subject needs {format_bytes(worker_bytes)} of memory, {format_bytes(allowed)} are allowed",
            remedy="raise --memory, use a parcellation as --cortex, or a machine with more memory",
        )
    return allowed, fitting


@dataclass(frozen=True)
class PermutePlan:
    """The size of a permutation test.

    Attributes
    ----------
    n_subjects, n_features, n_contrasts, n_perm, n_blocks : features of all parts; blocks of permutations.
    workers, in_process, device, gpus, device_bytes, worker_bytes, memory_bytes, disk_bytes : as of `GradientsPlan`.
    """

    n_subjects: int
    n_features: int
    n_contrasts: int
    n_perm: int
    n_blocks: int
    workers: int
    in_process: bool
    device: str
    gpus: tuple[int, ...]
    device_bytes: int
    worker_bytes: int
    memory_bytes: int
    disk_bytes: int


def plan_permute(
    *,
    n_subjects: int,
    n_features: int,
    n_columns: int,
    n_contrasts: int,
    n_variances: int,
    n_perm: int,
    n_blocks: int,
    stop_after: int = 0,
    workers: int | None,
    memory: int | None,
    gpus: Sequence[Gpu] = (),
) -> PermutePlan:
    """Choose how many workers fit beside this process; without room for one, the work is done in this process.

    Parameters
    ----------
    n_columns : of the design.
    n_variances : variance groups.
    stop_after : exceedances whose numbers are kept for each feature; 0 for none.
    workers, memory, gpus : as of `plan_gradients`.

    Raises
    ------
    ResourceError
        When not even this process alone has room for the work.
    """
    row = 8 * n_features
    values = row * n_subjects
    arrays = values * (n_contrasts + 3)  # as read, projected for each contrast, and what the last projection takes
    kept = row * n_contrasts * (16 + 2 * stop_after)
    batch = max(BATCH_BYTES, row * ((n_columns + 1) * n_variances + 4)) * min(n_variances, 2)
    worker_bytes = INTERPRETER_BYTES + COMPILER_BYTES + arrays + kept + batch
    own_bytes = worker_bytes + 2 * values  # the maps, and what is written of them
    allowed = memory if memory is not None else int(0.9 * available_memory())
    if own_bytes > allowed:
        raise ResourceError(
            f"{format_bytes(own_bytes)} of memory are needed, {format_bytes(allowed)} are allowed",
            remedy="raise --memory, test fewer components at once, or use a machine with more memory",
        )
    fitting = (allowed - own_bytes) // worker_bytes
    wanted = len(gpus) if gpus else workers or usable_cores()
    in_process = workers == 1 or n_blocks <= FEW_BLOCKS or fitting < 1
    return PermutePlan(
        n_subjects=n_subjects,
        n_features=n_features,
        n_contrasts=n_contrasts,
        n_perm=n_perm,
        n_blocks=n_blocks,
        workers=1 if in_process else max(1, min(wanted, n_blocks, fitting)),
        in_process=in_process,
        device=_devices(gpus),
        gpus=tuple(gpu.index for gpu in gpus),
        device_bytes=arrays + kept + 3 * batch if gpus else 0,
        worker_bytes=own_bytes if in_process else worker_bytes,
        memory_bytes=allowed,
        disk_bytes=2 * 2**20
        + values
        + 20 * row  # who touches whom
        + n_contrasts * (40 * row + 64 * n_perm)
        + n_blocks * n_contrasts * row * (2 + stop_after),
    )


@dataclass(frozen=True)
class ComparePlan:
    """The size of a comparison of group gradients; attributes as of `PermutePlan`."""

    n_subjects: int
    n_voxels: int
    n_comparisons: int
    n_perm: int
    workers: int
    in_process: bool
    worker_bytes: int
    memory_bytes: int
    disk_bytes: int


def plan_compare(
    *,
    n_subjects: int,
    n_voxels: int,
    n_components: int,
    n_perm: int,
    n_comparisons: int,
    workers: int | None,
    memory: int | None,
) -> ComparePlan:
    """Choose how many workers fit; ResourceError when not even one does. Parameters as of `plan_permute`."""
    rank = min(LARGEST_BASIS, n_voxels)
    stack = 2 * n_subjects * n_voxels**2
    basis = 4 * n_subjects * rank * (n_voxels + 2 * rank) + 16 * n_subjects * n_voxels
    batch = 64 * 2 * n_voxels**2 + 600 * 8 * n_voxels * n_components  # means of a batch, and their maps
    worker_bytes = INTERPRETER_BYTES + COMPILER_BYTES + stack + 2 * basis + batch
    allowed = memory if memory is not None else int(0.9 * available_memory())
    fitting = (allowed - worker_bytes) // worker_bytes  # this process holds the affinities too
    if allowed < worker_bytes:
        raise ResourceError(
            f"one worker needs {format_bytes(worker_bytes)} of memory, {format_bytes(allowed)} are allowed",
            remedy="raise --memory, or use a machine with more memory",
        )
    in_process = workers == 1 or fitting < 1 or n_perm <= 2 * 100
    return ComparePlan(
        n_subjects=n_subjects,
        n_voxels=n_voxels,
        n_comparisons=n_comparisons,
        n_perm=n_perm,
        workers=1 if in_process else max(1, min(workers or usable_cores(), fitting)),
        in_process=in_process,
        worker_bytes=worker_bytes,
        memory_bytes=allowed,
        disk_bytes=2**20 + 2 * basis + n_comparisons * 200 * n_voxels * n_components,
    )


def _devices(gpus: Sequence[Gpu]) -> str:
    return ", ".join(f"GPU {gpu.index} ({gpu.name})" for gpu in gpus) or "cpu"


def available_memory() -> int:
    """Bytes that can be allocated without swapping; the total where the system does not say."""
    try:
        with open("/proc/meminfo") as stream:
            fields = dict(line.split(":", 1) for line in stream)
        free = int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError):
        free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min(free, cgroup_memory() or free)


def format_bytes(count: float) -> str:
    """`1536` → `1.5 KB`, in powers of 1024."""
    for unit in ("B", "KB", "MB", "GB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TB"


def parse_bytes(text: str) -> int:
    """`16GB`, `512 MB`, `1.5G` or plain bytes → a number of bytes; ValueError otherwise."""
    cleaned = text.strip().upper().removesuffix("B").removesuffix("I")
    powers = {"K": 1, "M": 2, "G": 3, "T": 4}
    power = powers.get(cleaned[-1:], 0)
    number = float(cleaned[:-1] if power else cleaned)
    if not 0 < number < float("inf"):
        raise ValueError(f"not a positive size: {text!r}")
    return int(number * 1024**power)
