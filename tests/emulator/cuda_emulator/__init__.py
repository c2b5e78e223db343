"""CUDA C++ executed on the CPU, through CuPy's own call signature: every kernel's own text runs where there is no GPU.

A test of a kernel takes the fixture `emulated`, the namespace of an emulated device. Arrays made by it are device
arrays to `thalgpu.kernels`, so that the code above the kernels runs as it would with CuPy:

    def test_standardize_on_device(emulated_checked, rng):
        series = rng.normal(size=(50, 7)).astype(np.float32)
        unit, varies = standardize(emulated_checked.asarray(series))       # launches cuda/standardize.cu
        np.testing.assert_allclose(unit.get(), standardize(series)[0], atol=1e-7)

- `emulated`: launches are plain: fast, and they still find NaN from uninitialised shared memory, writes just outside
  an array, divergent barriers, masks that name absent lanes, wild pointers and endless loops.
- `emulated_checked`: launches are checked besides for races within and between blocks, every access for bounds,
  uninitialised shared memory, integer overflow, shifts, alignment; and each is made in three orders of threads, which
  must leave the same bits. Six times slower. `with using(orders=(0,)):` where results may depend on the order.
- `emulated.RawModule(code=text, options=("-DNAME=1",)).get_function(name)(grid, block, args, shared_mem=0)`: any text.
- `with limited(n_bytes, n_allocations=...):` lets the device run out of memory: `OutOfMemoryError`, as CuPy's.
- `with emulated.cuda.Device(1):` makes the second of two devices current. A block can have 64 KB of shared memory.

Findings raise `EmulatorError`, one line each, with file and line of the kernel, argument and element, block and thread.

How it works: each CUDA thread is a fibre that runs until it waits; blocks run in sequence, so `__shared__` is static
storage. g++ compiles the text against native/cuda_runtime.h, in some 0.3 s, and the result is kept by hash. For a
checked launch it puts calls before memory accesses (-fsanitize=thread) and undefined arithmetic; native/checker.cpp
answers them by CUDA's rules.

What it cannot do: spin-waits between threads, and results handed on within one launch by fences and flags (make two
launches); half precision, textures, streams, cooperative groups; arrays of pointers; timing. A block's threads never
really run at the same time, so a race is found by its accesses, never by its effect. `-ftz` is not imitated.
"""

from cuda_emulator import namespace
from cuda_emulator.build import has_compiler
from cuda_emulator.device_array import DeviceArray
from cuda_emulator.launching import EmulatorError
from cuda_emulator.memory import OutOfMemoryError, limited
from cuda_emulator.module import RawModule
from cuda_emulator.settings import ASCENDING, DESCENDING, settings, using

__all__ = [
    "ASCENDING",
    "DESCENDING",
    "DeviceArray",
    "EmulatorError",
    "OutOfMemoryError",
    "RawModule",
    "has_compiler",
    "limited",
    "namespace",
    "settings",
    "using",
]
