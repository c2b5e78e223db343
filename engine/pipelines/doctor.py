"""Whether the engine will work on this machine: every check says what it found and what to do about it."""

import contextlib
import fcntl
import importlib
import importlib.metadata
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Literal, TypeAlias

from threadpoolctl import threadpool_info

from thalgpu import __version__
from thalgpu.engine.machine import cgroup_cores, cgroup_memory, find_gpus, has_nvidia_driver, usable_cores
from thalgpu.engine.pipelines.self_test import Known, known_error, prove_device
from thalgpu.engine.plan import available_memory, format_bytes
from thalgpu.errors import NumericsError, ResourceError

Status: TypeAlias = Literal["ok", "warn", "fail"]

PACKAGES = ("numpy", "scipy", "nibabel", "h5py", "isal", "jinja2", "matplotlib", "rich", "threadpoolctl", "typer")
LITTLE_MEMORY, LITTLE_SPACE, NO_SPACE = 2 * 2**30, 2 * 2**30, 100 * 2**20


@dataclass(frozen=True)
class Check:
    """One thing looked at.

    Attributes
    ----------
    name : what was looked at.
    status : "ok"; "warn" when it works with a drawback; "fail" when runs will not work.
    detail : what was found.
    remedy : what to do about it; empty when nothing need be done.
    """

    name: str
    status: Status
    detail: str
    remedy: str = ""


def run_doctor(folder: Path) -> tuple[Check, ...]:
    """Look at versions, processors, memory, devices and disks, and solve a small problem with a known answer.

    Parameters
    ----------
    folder : where results are going to be written; need not exist yet.

    Returns
    -------
    Every check, in a fixed order; takes a few seconds and leaves nothing behind.
    """
    temporary = Path(tempfile.gettempdir())
    return (
        Check("thalgpu", "ok", f"{__version__}, Python {platform.python_version()}, {platform.platform()}"),
        *_packages(),
        _blas(),
        _processor(),
        _memory(),
        _devices(),
        _space("output space", folder),
        _writing("output writing", folder),
        _space("temporary space", temporary),
        _writing("temporary writing", temporary),
        _known_answer("gradients"),
        _known_answer("permutations"),
        *_known_answers_of_gpus(),
    )


def _packages() -> Iterator[Check]:
    """The packages the engine stands on; importing each shows that its binaries fit this machine."""
    found = []
    for name in PACKAGES:
        try:
            importlib.import_module(name)
            found.append(f"{name} {importlib.metadata.version(name)}")
        except ImportError as error:
            yield Check(name, "fail", f"cannot be imported: {error}", f"pip install --force-reinstall {name}")
    yield Check("packages", "ok", ", ".join([*found, *_hdf5()]))


def _hdf5() -> list[str]:
    with contextlib.suppress(ImportError):  # reported with the package itself
        return [f"HDF5 {importlib.import_module('h5py').version.hdf5_version}"]
    return []


def _blas() -> Check:
    """Linear algebra libraries and their threads; parallel runs give each process one thread."""
    pools = {
        f"{pool['internal_api']} {pool['version'] or ''}".strip(): pool["num_threads"] for pool in threadpool_info()
    }
    detail = ", ".join(f"{name} with {threads} thread{'s' * (threads != 1)}" for name, threads in pools.items())
    return Check("linear algebra", "ok", detail or "the system's own; its threads cannot be counted")


def _processor() -> Check:
    cores, share = usable_cores(), cgroup_cores()
    detail = f"{cores} of {os.cpu_count()} cores usable"
    if share is not None and share < cores:
        return Check(
            "processor", "warn", f"{detail}, {share:g} cores' worth of time", f"--workers {max(1, int(share))}"
        )
    return Check("processor", "ok", detail)


def _memory() -> Check:
    free, limit = available_memory(), cgroup_memory()
    detail = f"{format_bytes(free)} free"
    if limit is not None and limit < free:
        free, detail = limit, f"{format_bytes(limit)} left to this container or job"
    if free < LITTLE_MEMORY:
        return Check("memory", "warn", detail, "close other programs, ask for more, or keep to small regions")
    return Check("memory", "ok", detail)


def _devices() -> Check:
    """GPUs. None is no failure: the CPU gives the same numbers."""
    try:
        gpus = find_gpus()
    except RuntimeError as error:
        if has_nvidia_driver():
            return Check("GPUs", "warn", f"none: {error}", "pip install 'thalgpu[cuda12]' or 'thalgpu[cuda13]'")
        return Check("GPUs", "ok", f"none: {error}; the CPU computes")
    if not gpus:
        return Check("GPUs", "ok", "none visible; the CPU computes")
    return Check(
        "GPUs",
        "ok",
        ", ".join(f"{g.index}: {g.name}, {format_bytes(g.free_bytes)} of {format_bytes(g.memory_bytes)}" for g in gpus),
    )


def _space(name: str, folder: Path) -> Check:
    folder = _existing(folder)
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return Check(name, "fail", f"{folder}: {error.strerror}", "choose another folder")
    detail = f"{format_bytes(free)} free in {folder}"
    if free < NO_SPACE:
        return Check(name, "fail", detail, "free some space, or choose another folder")
    return Check(
        name, "warn" if free < LITTLE_SPACE else "ok", detail, "free some space" if free < LITTLE_SPACE else ""
    )


def _writing(name: str, folder: Path) -> Check:
    """What every result goes through: written, flushed to the disk, renamed, and guarded by a lock."""
    folder = _existing(folder)
    try:
        with tempfile.TemporaryDirectory(prefix=".thalgpu-doctor-", dir=folder) as inside:
            started = perf_counter()
            _write_durably(Path(inside))
            milliseconds = 1000 * (perf_counter() - started)
            locks = _locks_exclude(Path(inside) / "lock")
    except OSError as error:
        return Check(name, "fail", f"{folder}: {error.strerror}", "choose a folder that you may write to")
    if not locks:
        return Check(
            name, "fail", f"{folder}: locks do not hold", "choose a local folder, or mount the network one with locks"
        )
    return Check(name, "ok", f"write, flush and rename in {milliseconds:.0f} ms, locks hold in {folder}")


def _write_durably(folder: Path) -> None:
    """One file as the store writes it; OSError if any step fails."""
    partial = folder / "partial"
    with partial.open("wb") as stream:
        stream.write(b"\0" * 2**20)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(partial, folder / "final")
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _locks_exclude(path: Path) -> bool:
    """Whether a file locked once refuses a second lock: some network mounts grant both."""
    with path.open("wb") as first, path.open("wb") as second:
        fcntl.flock(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def _known_answer(known: Known) -> Check:
    name, started = f"self-test, {known}", perf_counter()
    remedy = "reinstall NumPy, SciPy and Numba"
    try:
        error, most = known_error(known)
    except NumericsError as refusal:
        return Check(name, "fail", f"the engine refuses a sound problem: {refusal}", remedy)
    detail = f"{known} differ by {error:.0e} from an independent computation ({perf_counter() - started:.1f} s)"
    return Check(name, "ok", detail) if error < most else Check(name, "fail", detail, remedy)


def _known_answers_of_gpus() -> Iterator[Check]:
    """The same problems on every GPU that there is."""
    with contextlib.suppress(RuntimeError):  # there is none, as _devices has said
        for gpu in find_gpus():
            try:
                prove_device(gpu.index, "gradients")
                prove_device(gpu.index, "permutations")
            except ResourceError as error:
                yield Check(f"self-test, GPU {gpu.index}", "fail", error.what, error.remedy or "")
            else:
                yield Check(f"self-test, GPU {gpu.index}", "ok", "gradients and permutations as computed independently")


def _existing(folder: Path) -> Path:
    """The folder itself, or the nearest one above it that exists: an output folder is made by its run."""
    folder = folder.absolute()
    while not os.path.isdir(folder):  # unlike Path.is_dir, False where we may not look
        folder = folder.parent
    return folder
