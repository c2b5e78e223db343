"""Arrays on the emulated device: NumPy underneath, and as strict about host memory as CuPy, or stricter.

What goes in and out is explicit: `namespace.asarray` and `array.set` copy to the device, `array.get` and
`namespace.asnumpy` back. NumPy arrays are refused everywhere else; Python and NumPy scalars are welcome. Reductions and
single elements stay on the device as arrays of no dimensions. `numpy.asarray(array)` raises TypeError, as CuPy's does.
"""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin
from numpy.typing import DTypeLike, NDArray

from cuda_emulator import devices
from cuda_emulator.memory import Allocation, allocation_of

_METHODS = """
    all any argmax argmin argpartition argsort astype clip conj copy cumprod cumsum diagonal dot flatten max mean min
    nonzero prod ravel repeat reshape round searchsorted squeeze std sum swapaxes take trace transpose var
"""
_METHODS_IN_PLACE = """fill partition sort"""


class DeviceArray(NDArrayOperatorsMixin):
    """An array on the emulated device, with the attributes and methods of `cupy.ndarray` that the engine may use."""

    __array_priority__ = 100
    __hash__ = None  # type: ignore[assignment]  # as NumPy's and CuPy's arrays

    def __init__(self, values: NDArray[Any]) -> None:
        found = allocation_of(values)
        if found is None:
            found = Allocation(values.nbytes, devices.current())
            values = _copy_into(found, values)
        self._values, self.allocation = values, found

    # What it is.
    shape = property(lambda self: self._values.shape)
    dtype = property(lambda self: self._values.dtype)
    ndim = property(lambda self: self._values.ndim)
    size = property(lambda self: self._values.size)
    itemsize = property(lambda self: self._values.itemsize)
    nbytes = property(lambda self: self._values.nbytes)
    strides = property(lambda self: self._values.strides)
    flags = property(lambda self: self._values.flags)
    T = property(lambda self: DeviceArray(self._values.T))

    @property
    def data(self) -> SimpleNamespace:
        """Where it lies: `data.ptr` is its address."""
        return SimpleNamespace(ptr=self._values.ctypes.data)

    @property
    def device(self) -> devices.Device:
        """The device that it lies on."""
        return devices.Device(self.allocation.device)

    # Ways to the host, all of them explicit.
    def get(self) -> NDArray[Any]:
        """Copy it to the host."""
        return self._values.copy()

    def set(self, values: NDArray[Any]) -> None:
        """Copy a host array of the same shape and dtype into it."""
        if not isinstance(values, np.ndarray) or (values.shape, values.dtype) != (self.shape, self.dtype):
            raise ValueError(f"set needs a host array of shape {self.shape} and dtype {self.dtype}")
        self._values[...] = values

    def item(self, *index: int) -> Any:
        """One element as a Python scalar."""
        return self._values.item(*index)

    def tolist(self) -> Any:
        """Nested lists of Python scalars."""
        return self._values.tolist()

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct one.")

    def __reduce__(self) -> Any:
        return DeviceArray, (self.get(),)

    def __bool__(self) -> bool:
        return bool(self._values)

    def __int__(self) -> int:
        return int(self._values)

    def __float__(self) -> float:
        return float(self._values)

    def __index__(self) -> int:
        return self._values.__index__()

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator["DeviceArray"]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return f"DeviceArray({self._values!r})"

    # Work on it.
    def __getitem__(self, index: Any) -> "DeviceArray":
        where = opened(index if isinstance(index, tuple) else (index,))
        if not any(part is Ellipsis for part in where):
            where = (*where, Ellipsis)  # an element stays an array
        return DeviceArray(self._values[where])

    def __setitem__(self, index: Any, value: Any) -> None:
        self._values[opened(index)] = opened(value)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        if method != "__call__":
            raise TypeError(f"numpy.{ufunc.__name__}.{method} is not for device arrays")
        return applied(ufunc, *inputs, **options)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        raise TypeError(f"numpy.{function.__name__} of a device array; call the function of its own namespace")


def applied(function: Any, *args: Any, **kwargs: Any) -> Any:
    """Call a NumPy function with device arrays, and put its arrays on the device."""
    if kwargs.keys() & {"where", "initial"}:
        raise TypeError(f"{function.__name__}: CuPy has no where= or initial=")
    out = kwargs.pop("out", None)
    out = out[0] if isinstance(out, tuple) and len(out) == 1 else out
    if out is not None:
        if not isinstance(out, DeviceArray):
            raise TypeError(f"out must be a device array, not {type(out).__name__}")
        function(*opened(args), out=out._values, **opened(kwargs))
        return out
    return closed(function(*opened(args), **opened(kwargs)))


def opened(value: Any) -> Any:
    """The NumPy arrays inside device arrays, also inside tuples, lists and dicts; TypeError for host arrays."""
    if isinstance(value, DeviceArray):
        return value._values
    if isinstance(value, np.ndarray):
        raise TypeError("Unsupported type <class 'numpy.ndarray'>: a host array among device arrays")
    if isinstance(value, tuple | list):
        return type(value)(opened(part) for part in value)
    if isinstance(value, dict):
        return {key: opened(part) for key, part in value.items()}
    return value


def closed(value: Any) -> Any:
    """Device arrays in place of NumPy's arrays and scalars, also inside tuples and lists."""
    if isinstance(value, np.ndarray | np.generic):
        return DeviceArray(np.asarray(value))
    if isinstance(value, tuple):
        return tuple(closed(part) for part in value)
    return [closed(part) for part in value] if isinstance(value, list) else value


def _copy_into(allocation: Allocation, values: NDArray[Any]) -> NDArray[Any]:
    """The same values in an allocation, in the same layout if C- or Fortran-contiguous and in C's otherwise."""
    order: Literal["F", "C"] = "F" if values.flags.f_contiguous and not values.flags.c_contiguous else "C"
    moved: NDArray[Any] = np.ndarray(values.shape, values.dtype, allocation.values, order=order)
    moved[...] = values
    return moved


def _method(name: str, *, in_place: bool = False) -> Any:
    def method(self: DeviceArray, *args: Any, **kwargs: Any) -> Any:
        result = applied(getattr(self._values, name), *args, **kwargs)
        return None if in_place else result

    method.__name__ = name
    return method


for _name in _METHODS.split():
    setattr(DeviceArray, _name, _method(_name))
for _name in _METHODS_IN_PLACE.split():
    setattr(DeviceArray, _name, _method(_name, in_place=True))
