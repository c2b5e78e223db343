"""What this machine offers: limits that a container or a batch job sets, and GPUs."""

import importlib.util
import math
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUP = Path("/proc/self/cgroup")


@dataclass(frozen=True)
class Gpu:
    """One CUDA device that CuPy sees and can compute on."""

    index: int
    name: str
    memory_bytes: int
    free_bytes: int


def cgroup_memory() -> int | None:
    """Bytes that this container or job may still allocate; None where no control group limits it."""
    free = []
    for folder in _own_cgroups():
        limit = _number(folder / "memory.max", folder / "memory.limit_in_bytes")
        used = _number(folder / "memory.current", folder / "memory.usage_in_bytes")
        if limit is not None and used is not None and limit < 2**60:  # version 1 writes 2**63 - 4096 for "no limit"
            free.append(max(0, int(limit - used + _reclaimable(folder))))
    return min(free, default=None)


def usable_cores() -> int:
    """Cores that this process may run on, within its container's share."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, math.ceil(cgroup_cores() or cores)))


def cgroup_cores() -> float | None:
    """Cores' worth of time that this container or job may use; None where no control group limits it."""
    shares = []
    for folder in _own_cgroups():
        try:
            quota, period = (folder / "cpu.max").read_text().split()
        except (OSError, ValueError):
            continue
        if quota != "max":
            shares.append(int(quota) / int(period))
    return min(shares, default=None)


def find_gpus(*, at_most: int | None = None) -> tuple[Gpu, ...]:
    """Every CUDA device that CuPy can compute on.

    Parameters
    ----------
    at_most : look at the first only: each that is looked at keeps some memory of this process's until it ends.

    Raises
    ------
    RuntimeError
        In words, why there is none: no driver, no CuPy, or a CuPy that does not work here.
    """
    if importlib.util.find_spec("cupy") is None:
        raise RuntimeError("an NVIDIA driver, but no CuPy" if has_nvidia_driver() else "no NVIDIA driver")
    try:
        import cupy  # where it is installed it takes a second to import, and fails without its libraries

        runtime = cupy.cuda.runtime
        found = []
        for index in range(runtime.getDeviceCount())[:at_most]:
            with cupy.cuda.Device(index):
                free, total = runtime.memGetInfo()
                if int(cupy.arange(8).sum()) != 28:  # compiles and launches, which needs CUDA's headers as well
                    raise RuntimeError(f"GPU {index} adds up wrongly")
            found.append(Gpu(index, runtime.getDeviceProperties(index)["name"].decode(), int(total), int(free)))
    except (ImportError, OSError) as error:
        raise RuntimeError(f"CuPy cannot be imported: {_first_line(error)}") from error
    except RuntimeError as error:  # CuPy's own errors are among these
        raise RuntimeError(f"CuPy finds no working GPU: {_first_line(error)}") from error
    return tuple(found)


def has_nvidia_driver() -> bool:
    """Whether an NVIDIA driver is installed, with or without CuPy."""
    return Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None


def _own_cgroups() -> Iterator[Path]:
    """Folders of the control groups that this process is in, innermost first; version 2, then version 1."""
    try:
        lines = OWN_CGROUP.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        root = CGROUPS if not controllers else CGROUPS / controllers
        here = root / path.lstrip("/")
        yield from (folder for folder in (here, *here.parents) if folder.is_relative_to(root))


def _number(*candidates: Path) -> int | None:
    """The number in the first file that holds one."""
    for path in candidates:
        try:
            return int(path.read_text())
        except (OSError, ValueError):  # absent, or "max"
            continue
    return None


def _reclaimable(folder: Path) -> int:
    """Bytes of file cache that count as used and are given back on demand."""
    try:
        fields = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        return int(fields.get("inactive_file", 0))
    except (OSError, ValueError):
        return 0


def _first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0] or type(error).__name__
