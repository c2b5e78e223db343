"""CuPy's `RawModule` and its kernels, run by the emulated multiprocessor."""

import ctypes
from pathlib import Path
from typing import Any

import numpy as np

from cuda_emulator import build, devices
from cuda_emulator.device_array import DeviceArray
from cuda_emulator.launching import Argument, EmulatorError, run
from cuda_emulator.settings import settings
from cuda_emulator.source import translate
from thalgpu.kernels._declarations import Declaration, declarations

SHARED_WITHOUT_ASKING = 48 * 1024
_LIMITS = {"grid": (2**31 - 1, 65535, 65535), "block": (1024, 1024, 64)}


class _Parameter(ctypes.Structure):
    _fields_ = (("is_pointer", ctypes.c_int), ("size", ctypes.c_int), ("kind", ctypes.c_int))


class RawModule:
    """CUDA text, compiled when one of its kernels is launched: once as it is, and once with checks, as is needed."""

    def __init__(self, *, code: str, options: tuple[str, ...] = ()) -> None:
        self.declared = declarations(code)
        self.text = translate(code, list(self.declared))
        self.defines = tuple(option for option in options if option.startswith("-D"))
        self._libraries: dict[tuple[bool, bool], tuple[Path, ctypes.CDLL]] = {}

    def get_function(self, name: str) -> "Kernel":
        """A kernel by its name."""
        if name not in self.declared:
            raise ValueError(f"no kernel {name} in this module")
        return Kernel(self, self.declared[name])

    def library(self) -> tuple[Path, ctypes.CDLL]:
        """The compiled text, loaded."""
        kind = settings().checked, settings().portable
        if kind not in self._libraries:
            path = build.kernel_library(self.text, checked=settings().checked, defines=self.defines)
            self._libraries[kind] = path, ctypes.CDLL(str(path))
        return self._libraries[kind]


class Kernel:
    """A kernel, called as CuPy's are: `kernel(grid, block, args, shared_mem=0, stream=None)`."""

    def __init__(self, module: RawModule, declaration: Declaration) -> None:
        self.name = declaration.name
        self.max_dynamic_shared_size_bytes = SHARED_WITHOUT_ASKING
        self._module, self._names = module, [parameter.name for parameter in declaration.parameters]

    def __call__(
        self,
        grid: tuple[int, ...],
        block: tuple[int, ...],
        args: tuple[Any, ...],
        *,
        shared_mem: int = 0,
        stream: None = None,
    ) -> None:
        if stream is not None:
            raise EmulatorError(f"{self.name}: launches are made one after another, without streams")
        if not shared_mem <= self.max_dynamic_shared_size_bytes <= devices.SHARED_LIMIT:
            raise EmulatorError(
                f"{self.name}: {shared_mem} bytes of dynamic shared memory, of {self.max_dynamic_shared_size_bytes} "
                f"allowed and {devices.SHARED_LIMIT} possible"
            )
        orders = settings().orders
        path, library = self._module.library()
        arguments = self._arguments(library, args)
        shape = (*self._sizes("grid", grid), *self._sizes("block", block))
        arrays = [argument.array for argument in arguments if argument.array is not None]
        before = [array.get() for array in arrays] if len(orders) > 1 else []
        results: list[list[bytes]] = []
        for order in orders:
            for array, contents in zip(arrays, before, strict=False):
                array.set(contents)
            run(self.name, path, library, shape, arguments, shared_mem, order)
            results.append([array.get().tobytes() for array in arrays] if before else [])
        for i, array in enumerate(arrays if before else ()):
            if len({result[i] for result in results}) > 1:
                name = next(argument.name for argument in arguments if argument.array is array)
                raise EmulatorError(f"{self.name}: {name} depends on the order of threads, {orders} differ")

    def _sizes(self, what: str, given: tuple[int, ...]) -> tuple[int, ...]:
        sizes = (*given, 1, 1)[:3]
        if not all(1 <= size <= limit for size, limit in zip(sizes, _LIMITS[what], strict=True)):
            raise EmulatorError(f"{self.name}: a {what} of {given} cannot be launched")
        if what == "block" and np.prod(sizes) > 1024:
            raise EmulatorError(f"{self.name}: a block of {given} has more than 1024 threads")
        return sizes

    def _arguments(self, library: ctypes.CDLL, args: tuple[Any, ...]) -> list[Argument]:
        """The arguments as the compiled kernel takes them; TypeError for one of another kind or size."""
        wanted = (_Parameter * 64)()
        count = library[f"emulator_describe_{self.name}"](wanted, len(wanted))
        if count != len(args):
            raise TypeError(f"{self.name} takes {count} arguments, not {len(args)}")
        return [self._argument(name, one, given) for name, one, given in zip(self._names, wanted, args, strict=False)]

    def _argument(self, name: str, wanted: _Parameter, given: Any) -> Argument:
        if isinstance(given, np.ndarray):
            raise TypeError(f"{self.name}, argument {name}: Unsupported type {type(given)}")
        if isinstance(given, DeviceArray):
            dtype, array, value = given.dtype, given, np.uintp(given.data.ptr).tobytes()
        else:  # CuPy's own conversions: int becomes int64 and float float64
            scalar = np.asarray(given)
            dtype, array, value = scalar.dtype, None, scalar.tobytes()
        kind = "?" if dtype.kind == "b" else dtype.kind
        if (bool(wanted.is_pointer), wanted.size, chr(wanted.kind)) != (array is not None, dtype.itemsize, kind):
            needed = f"{'an array of ' if wanted.is_pointer else 'a '}{chr(wanted.kind)}{wanted.size}"
            found = f"{'an array of ' if array is not None else 'a '}{dtype}"
            raise TypeError(f"{self.name}, argument {name}: needs {needed}, not {found}")
        return Argument(name, value, array)
