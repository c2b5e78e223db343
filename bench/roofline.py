"""What each CUDA kernel can take at best: the roofline of its bytes and operations, and its time on a real device.

`python -m thalgpu.bench.roofline` writes bench/ROOFLINE.md anew; `thalgpu bench --gpus 1` measures.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from statistics import median
from types import ModuleType
from typing import Any, TypeAlias

from thalgpu.bench._result import BenchResult
from thalgpu.bench._workloads import WORKLOADS
from thalgpu.bench.report import Benchmark
from thalgpu.engine.machine import Gpu
from thalgpu.kernels import _cuda

Cost: TypeAlias = Callable[..., tuple[float, float]]

HERE = Path(__file__).parent
PAGE = HERE / "ROOFLINE.md"
DOUBLE_INSIDE = frozenset(
    ("standardize", "residual", "centre_rows", "degrees", "damped_degrees", "normalise", "row_sums", "column_sums")
)
"""Kernels that work in float64 whatever they read."""
REPEATS = 10


@dataclass(frozen=True)
class Device:
    """Peak rates of a device, from its data sheet."""

    name: str
    bytes_per_second: float
    single_per_second: float
    double_per_second: float


DEVICES = (
    Device("A100", 1.555e12, 19.5e12, 9.7e12),
    Device("H100", 3.35e12, 67e12, 34e12),
)


@dataclass(frozen=True)
class Prediction:
    """The least time that a kernel can take on a device.

    Attributes
    ----------
    kernel : with its dtype, as in the CUDA text.
    sizes : of the workload, in words.
    n_bytes, n_operations : moved and done.
    seconds : by what it is `bound`, "memory" or "compute".
    """

    kernel: str
    sizes: str
    n_bytes: float
    n_operations: float
    seconds: float
    bound: str


@cache
def costs() -> dict[str, Cost]:
    """What every kernel costs, by its name: all COSTS of the files costs_*.py."""
    found: dict[str, Cost] = {}
    for path in sorted(HERE.glob("costs_*.py")):
        found.update(import_module(f"thalgpu.bench.{path.stem}").COSTS)
    return found


def predict(kernel: str, device: Device) -> Prediction:
    """Bytes over bandwidth or operations over their rate, whichever is longer."""
    stem, dtype = split(kernel)
    sizes = WORKLOADS[stem].sizes
    n_bytes, n_operations = costs()[kernel](**sizes)
    is_double = dtype == "float64" or stem in DOUBLE_INSIDE
    to_move = n_bytes / device.bytes_per_second
    to_compute = n_operations / (device.double_per_second if is_double else device.single_per_second)
    bound = "memory" if to_move >= to_compute else "compute"
    words = " ".join(f"{name}={size:,}" for name, size in sizes.items())
    return Prediction(kernel, words, n_bytes, n_operations, max(to_move, to_compute), bound)


def split(kernel: str) -> tuple[str, str]:
    """ "standardize_f32" → "standardize" and "float32"; kernels of integers have no dtype in their names."""
    match = re.fullmatch(r"(\w+)_f(32|64)", kernel)
    return (match[1], f"float{match[2]}") if match else (kernel, "float32")


def page() -> str:
    """bench/ROOFLINE.md: a line for each kernel."""
    header = ["kernel", "at", "MB", "Mop", "op/byte", *(f"{device.name} µs" for device in DEVICES), "bound by"]
    lines = [_row(header), "|" + "---|" * len(header)]
    for kernel in costs():
        on = [predict(kernel, device) for device in DEVICES]
        bounds = " / ".join(dict.fromkeys(prediction.bound for prediction in on))
        first = on[0]
        sizes = (f"{first.n_bytes / 1e6:.4g}", f"{first.n_operations / 1e6:.4g}")
        intensity = f"{first.n_operations / first.n_bytes:.3g}"
        times = (f"{prediction.seconds * 1e6:.3g}" for prediction in on)
        lines.append(_row([f"`{kernel}`", first.sizes, *sizes, intensity, *times, bounds]))
    return _INTRODUCTION.format(devices=_devices()) + "\n".join(lines) + "\n"


def benchmarks(gpus: Iterable[Gpu]) -> tuple[Benchmark, ...]:
    """A benchmark for each kernel, on each of these GPUs."""
    return tuple(
        Benchmark(kernel, (split(kernel)[0],), partial(_measure_on, kernel, gpu)) for gpu in gpus for kernel in costs()
    )


def measure(xp: ModuleType, kernel: str, *, repeats: int, **sizes: int) -> float:
    """Seconds that a kernel takes in a call of its workload: the median of some calls, after two that do not count.

    Parameters
    ----------
    xp : CuPy, with the device current.
    kernel : with its dtype.
    sizes : in place of the workload's.
    """
    stem, dtype = split(kernel)
    workload = WORKLOADS[stem]
    call = workload.prepare(xp, dtype, **(sizes or workload.sizes))
    events: list[tuple[Any, Any]] = []

    def time(name: str, _grid: tuple[int, ...], run: Callable[[], None]) -> None:
        start, stop = xp.cuda.Event(), xp.cuda.Event()
        start.record()
        run()
        stop.record()
        if name.endswith(f":{kernel}"):
            events.append((start, stop))

    def timed() -> float:
        events.clear()
        call()
        xp.cuda.Device().synchronize()
        milliseconds: float = sum(xp.cuda.get_elapsed_time(start, stop) for start, stop in events)
        return milliseconds / 1e3

    with _cuda.watched(time):
        times = [timed() for _ in range(2 + repeats)]
    return median(times[2:])


def _measure_on(kernel: str, gpu: Gpu, *, quick: bool, **_: int) -> BenchResult:
    """Measured beside predicted: for the device itself if it is one of `DEVICES`, for the first of them otherwise."""
    cupy = import_module("cupy")
    with cupy.cuda.Device(gpu.index):
        seconds = measure(cupy, kernel, repeats=2 if quick else REPEATS)
        cupy.get_default_memory_pool().free_all_blocks()
    device = next((device for device in DEVICES if device.name in gpu.name), DEVICES[0])
    predicted = predict(kernel, device)
    return BenchResult(
        claim="roofline",
        title=f"{kernel}, {predicted.sizes}",
        ours_label=gpu.name,
        ours_seconds=seconds,
        ref_label=f"predicted for {device.name}",
        ref_seconds=predicted.seconds,
        target=">= 0.5x",
        note=f"{predicted.n_bytes / seconds / 1e9:.4g} GB/s, {predicted.n_operations / seconds / 1e9:.4g} Gop/s",
    )


_INTRODUCTION = """# Roofline of the CUDA kernels

**PREDICTED, not measured.** `thalgpu bench --gpus 1` prints what a GPU takes beside what is predicted here.

A kernel must move its bytes, each counted once, and do its operations: both are counted in [`costs_*.py`](.), at the
sizes of one subject of a large study, and of 10,000 permutations ([`_workloads.py`](_workloads.py)). The prediction is
what takes longer, moving or computing, at the peak rates of

{devices}
Float64 rates hold for kernels of float64 and for those that add up in float64; an operation on integers counts as one
on float32. A good kernel is within a factor of two; one whose arrays stay in the device's cache (40 MB, 50 MB) may be
faster. Launching takes some 3 µs more. Matrix products and large eigenproblems are cuBLAS's and cuSOLVER's, and not
listed.

`tfce_f64` is bound by neither: one warp a map lets elements join one after another, and waits for shared memory in
between, some 500 cycles each by the latencies of its instructions. With 36 KB a map, a multiprocessor has 4 maps in
flight on an A100, and 6 on an H100: expect some 10 ms and 5 ms for the 10,000.

This page is written by `python -m thalgpu.bench.roofline`.

"""


def _devices() -> str:
    lines = (
        f"- {device.name}: {device.bytes_per_second / 1e12:g} TB/s, {device.single_per_second / 1e12:g} TFLOP/s in "
        f"float32, {device.double_per_second / 1e12:g} in float64\n"
        for device in DEVICES
    )
    return "".join(lines)


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
