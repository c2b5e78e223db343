"""CUDA kernels: text is loaded, compiled once a device, and launched through one guarded door.

The module NAME is the text of `cuda/common.cuh`, of the headers that it needs, and of `cuda/NAME.cu`, one after the
other. No file includes another, so a cache keyed by the text is never stale. Its kernels are written out, not made by
macros or templates (those are for `__device__` functions that kernels share), as

    extern "C" __global__ void __launch_bounds__(256) standardize_f32(
        const float* __restrict__ series, float* __restrict__ unit, bool* __restrict__ varies, int n_timepoints)

and every launch is held to that declaration:

    launch("standardize", "standardize_f32", grid=n_series, block=256,
           args=(series, unit, varies, *int32(n_timepoints)))

An array that is only read is a pointer to const. Elements and scalars are bool, signed char, unsigned char, short,
unsigned short, int, unsigned, long long, unsigned long long, float or double.

Compiled as C++17 without fast-math: division and square root are IEEE's, a product and a sum may become one fused
operation. CuPy always adds `-ftz=true`: float32 numbers below 1.2e-38 become 0 (float64 ones do not), so no kernel may
depend on them. CuPy is not imported here: the module that the arrays belong to is asked for its `RawModule`.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np

from thalgpu.kernels._declarations import Declaration, Parameter, declarations
from thalgpu.kernels._namespace import get_namespace, is_device

Watcher: TypeAlias = Callable[[str, tuple[int, ...], Callable[[], None]], None]
"""Gets "module:kernel", the grid, and what runs the kernel, which it must call."""

OPTIONS = ("-std=c++17",)
HEADERS = {"jacobi": ("rotations",), "small_eigen": ("rotations",)}
"""Texts `cuda/NAME.cuh` that modules need besides the common one."""
SHARED_WITHOUT_ASKING = 48 * 1024
"""Bytes of dynamic shared memory that any kernel gets; more must be asked for, and not every device has it."""
_MAX_BLOCK = (1024, 1024, 64)
_MAX_GRID = (2**31 - 1, 65535, 65535)
_FOLDER = Path(__file__).parent / "cuda"
_watchers: list[Watcher] = []


def launch(
    module_name: str,
    kernel_name: str,
    *,
    grid: int | tuple[int, ...],
    block: int | tuple[int, ...],
    args: Sequence[object],
    shared_bytes: int = 0,
) -> None:
    """Run a kernel on the current device, once every argument is what the kernel declares.

    Parameters
    ----------
    module_name : of the file `cuda/MODULE_NAME.cu`.
    kernel_name : of a kernel in that file.
    grid, block : blocks in the grid and threads in a block, in up to three dimensions. A grid without blocks is checked
        and not run.
    args : device arrays and NumPy scalars, in the order declared. An array that is written overlaps no other.
    shared_bytes : dynamic shared memory of a block.

    Raises
    ------
    TypeError
        An argument of another kind or dtype than declared; too many or too few.
    ValueError
        No such kernel; an array that is not C-contiguous, lies on another device or overlaps one that is written; a
        grid, a block or shared memory that no device can run, or not the current one.
    """
    declaration = _declared(module_name, kernel_name)
    arrays = _checked_arrays(declaration, args)
    namespace = get_namespace(*arrays.values())
    device = namespace.cuda.runtime.getDevice()
    _check_places(kernel_name, arrays, device)
    blocks, threads = _checked_grid(kernel_name, grid), _checked_block(declaration, block)
    if 0 in blocks:
        return
    function = _function(namespace, device, module_name, kernel_name)
    if shared_bytes > SHARED_WITHOUT_ASKING:
        if shared_bytes > shared_limit(namespace):
            raise ValueError(
                f"kernel {kernel_name}: {shared_bytes} bytes of shared memory are more than the device has"
            )
        function.max_dynamic_shared_size_bytes = shared_bytes
    run = partial(function, blocks, threads, tuple(args), shared_mem=shared_bytes)
    if _watchers:
        _watchers[-1](f"{module_name}:{kernel_name}", blocks, run)
    else:
        run()


@contextmanager
def watched(watcher: Watcher) -> Iterator[None]:
    """Hand every launch to `watcher` for a while, to count it or to time it."""
    _watchers.append(watcher)
    try:
        yield
    finally:
        _watchers.pop()


def int32(*sizes: int) -> tuple[np.int32, ...]:
    """Sizes as arguments for a kernel's `int` parameters; ValueError for one that is negative or does not fit."""
    for size in sizes:
        if not 0 <= size <= np.iinfo(np.int32).max:
            raise ValueError(f"a size of {size} does not fit a kernel's int")
    return tuple(np.int32(size) for size in sizes)


def shared_limit(namespace: ModuleType) -> int:
    """Bytes of shared memory that one block can have on the current device, static and dynamic together."""
    device = namespace.cuda.Device(namespace.cuda.runtime.getDevice())
    return int(device.attributes["MaxSharedMemoryPerBlockOptin"])


@cache
def source(module_name: str) -> str:
    """Text of a module, with `#line` marks so that compilers name its files."""
    headers = (f"{name}.cuh" for name in ("common", *HEADERS.get(module_name, ())))
    names = (*headers, f"{module_name}.cu")
    return "".join(f'#line 1 "{name}"\n{(_FOLDER / name).read_text(encoding="utf-8")}\n' for name in names)


@cache
def _declared(module_name: str, kernel_name: str) -> Declaration:
    found = declarations(source(module_name))
    if kernel_name not in found:
        raise ValueError(f"cuda/{module_name}.cu declares no kernel {kernel_name}, but {', '.join(found) or 'none'}")
    return found[kernel_name]


@cache
def _module(namespace: ModuleType, device: int, module_name: str) -> Any:  # noqa: ARG001 -- one a device
    return namespace.RawModule(code=source(module_name), options=OPTIONS)


@cache
def _function(namespace: ModuleType, device: int, module_name: str, kernel_name: str) -> Any:
    """A compiled kernel, remembered with the limits that it was given on this device."""
    return _module(namespace, device, module_name).get_function(kernel_name)


def _checked_arrays(declaration: Declaration, args: Sequence[object]) -> dict[Parameter, Any]:
    """The arguments that are arrays; TypeError unless each argument is of the kind and dtype declared."""
    kernel, parameters = declaration.name, declaration.parameters
    if len(args) != len(parameters):
        raise TypeError(f"kernel {kernel} takes {len(parameters)} arguments, not {len(args)}")
    arrays = {}
    for parameter, given in zip(parameters, args, strict=True):
        is_right_kind = is_device(given) if parameter.is_array else isinstance(given, np.generic)
        if not is_right_kind or getattr(given, "dtype", None) != parameter.dtype:
            kind = "device array" if parameter.is_array else "NumPy scalar"
            raise TypeError(
                f"kernel {kernel}, argument {parameter.name}: needs a {kind} of {parameter.dtype}, not {_kind(given)}"
            )
        if parameter.is_array:
            arrays[parameter] = given
    if not arrays:
        raise TypeError(f"kernel {kernel} has no arrays, so it cannot know its device")
    return arrays


def _kind(given: object) -> str:
    """What was given instead, for messages."""
    if is_device(given):
        return f"a device array of {given.dtype}"
    if isinstance(given, np.ndarray):
        return f"a host array of {given.dtype}"
    return f"a {type(given).__name__}"


def _check_places(kernel: str, arrays: dict[Parameter, Any], device: int) -> None:
    """ValueError unless arrays are in one piece on the current device, and those that are written overlap no other."""
    extents: list[tuple[Parameter, int, int]] = []
    for parameter, array in arrays.items():
        argument = f"kernel {kernel}, argument {parameter.name}"
        if not array.flags.c_contiguous:
            raise ValueError(f"{argument}: an array of shape {array.shape} that is not C-contiguous")
        if array.device.id != device:
            raise ValueError(f"{argument}: an array on device {array.device.id}, while device {device} is current")
        start, stop = array.data.ptr, array.data.ptr + array.nbytes
        for other, other_start, other_stop in extents:
            if start < other_stop and other_start < stop and (parameter.is_written or other.is_written):
                raise ValueError(f"{argument}: overlaps argument {other.name}, and one of them is written")
        extents.append((parameter, start, stop))


def _checked_grid(kernel: str, grid: int | tuple[int, ...]) -> tuple[int, ...]:
    blocks = grid if isinstance(grid, tuple) else (grid,)
    if not 1 <= len(blocks) <= 3 or not all(0 <= n <= most for n, most in zip(blocks, _MAX_GRID, strict=False)):
        raise ValueError(f"kernel {kernel}: a grid of {blocks} blocks; at most {_MAX_GRID} can run")
    return blocks


def _checked_block(declaration: Declaration, block: int | tuple[int, ...]) -> tuple[int, ...]:
    threads = block if isinstance(block, tuple) else (block,)
    if not 1 <= len(threads) <= 3 or not all(1 <= n <= most for n, most in zip(threads, _MAX_BLOCK, strict=False)):
        raise ValueError(f"kernel {declaration.name}: a block of {threads} threads; 1 to {_MAX_BLOCK} can run")
    if np.prod(threads) > declaration.max_threads:
        raise ValueError(f"kernel {declaration.name}: {threads} threads a block are above {declaration.max_threads}")
    return threads
