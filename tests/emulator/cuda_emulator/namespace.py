"""NumPy's functions on device arrays: what `get_namespace` gives for them, in CuPy's place.

Only functions that CuPy has are here. They take device arrays, scalars and lists of them, and return device arrays;
`asarray` and `array` alone take host arrays, too.
"""

from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from cuda_emulator import devices, memory
from cuda_emulator.device_array import DeviceArray, applied, opened
from cuda_emulator.module import RawModule

__all__ = ["RawModule", "array", "asarray", "asnumpy", "cuda", "empty", "empty_like", "linalg", "ndarray"]

ndarray = DeviceArray
_FUNCTIONS = """
    abs absolute add all allclose any arange arccos arcsin arctan arctan2 arctanh argmax argmin argpartition argsort
    array_equal atleast_1d atleast_2d bincount broadcast_to cbrt ceil clip column_stack concatenate copyto cos cosh
    count_nonzero cumprod cumsum diag diagonal diff divide dot einsum equal exp exp2 expand_dims expm1 eye
    fill_diagonal flatnonzero flip floor floor_divide fmax fmin frexp full full_like greater greater_equal hstack
    hypot identity inner invert isfinite isinf isnan kron ldexp less less_equal linspace log log10 log1p log2
    logical_and logical_not logical_or logical_xor matmul max maximum mean median meshgrid min minimum mod moveaxis
    multiply nan_to_num nanmax nanmean nanmin nansum negative nonzero not_equal ones ones_like outer partition power
    prod put_along_axis ravel reciprocal remainder repeat reshape roll round searchsorted sign signbit sin sinh sort
    split sqrt square squeeze stack std subtract sum swapaxes take take_along_axis tan tanh tensordot tile trace
    transpose tri tril triu triu_indices true_divide trunc unique var vdot vstack where zeros zeros_like
"""
_CONSTANTS = """
    bool_ dtype e finfo float32 float64 iinfo inf int16 int32 int64 int8 nan newaxis pi uint16 uint32 uint64 uint8
    floating integer bool ndindex result_type can_cast promote_types
"""
_LINEAR_ALGEBRA = frozenset(
    ("cholesky", "det", "eigh", "eigvalsh", "inv", "norm", "pinv", "qr", "slogdet", "solve", "svd")
)


def __getattr__(name: str) -> Any:
    """A function or constant by its name; see `_FUNCTIONS` and `_CONSTANTS`."""
    if name in _CONSTANTS.split():
        return getattr(np, name)
    if name in _FUNCTIONS.split():
        return _on_device(getattr(np, name))
    raise AttributeError(f"the emulated namespace has no {name}; add it if CuPy has it")


class _LinearAlgebra:
    """`cupy.linalg`: what cuBLAS and cuSOLVER do is left to LAPACK."""

    def __getattr__(self, name: str) -> Any:
        if name not in _LINEAR_ALGEBRA:
            raise AttributeError(f"the emulated namespace has no linalg.{name}; add it if CuPy has it")
        return _on_device(getattr(np.linalg, name))


linalg = _LinearAlgebra()
cuda = SimpleNamespace(
    Device=devices.Device,
    runtime=SimpleNamespace(
        getDevice=devices.current,
        getDeviceCount=lambda: devices.N_DEVICES,
        getDeviceProperties=lambda number: {"name": b"emulated"},
    ),
    memory=SimpleNamespace(OutOfMemoryError=memory.OutOfMemoryError),
)


def asarray(values: Any, dtype: DTypeLike | None = None, order: Any = None) -> DeviceArray:
    """Bring something to the device: a host array, scalars, or a device array, which stays itself if it can."""
    if isinstance(values, DeviceArray):
        kept = np.asarray(opened(values), dtype, order)
        return values if kept is opened(values) else DeviceArray(kept)
    plain = values if isinstance(values, np.ndarray) else opened(values)
    return DeviceArray(np.array(plain, dtype, order=order or "C"))


def array(values: Any, dtype: DTypeLike | None = None, order: Any = None) -> DeviceArray:
    """As `asarray`, and always a copy."""
    return DeviceArray(np.array(opened(asarray(values)), dtype, order=order or "K"))


def ascontiguousarray(values: Any, dtype: DTypeLike | None = None) -> DeviceArray:
    """As `asarray`, C-contiguous."""
    return asarray(values, dtype, "C")


def asnumpy(values: Any) -> NDArray[Any]:
    """Copy to the host."""
    return values.get() if isinstance(values, DeviceArray) else np.asarray(values)


def empty(shape: Any, dtype: DTypeLike = float, order: Any = "C") -> DeviceArray:
    """New memory, poisoned: NaN, or -1."""
    dtype = np.dtype(dtype)
    n_bytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    allocation = memory.Allocation(n_bytes, devices.current())
    return DeviceArray(np.ndarray(shape, dtype, allocation.values, order=order))


def empty_like(reference: DeviceArray, dtype: DTypeLike | None = None, order: Any = "K") -> DeviceArray:
    """New memory of a device array's shape; poisoned."""
    model = opened(reference)
    fortran = order == "F" or (order in "KA" and model.flags.f_contiguous and not model.flags.c_contiguous)
    return empty(model.shape, model.dtype if dtype is None else dtype, "F" if fortran else "C")


def _on_device(function: Any) -> Any:
    def call(*args: Any, **kwargs: Any) -> Any:
        return applied(function, *args, **kwargs)

    call.__name__ = function.__name__
    return call
