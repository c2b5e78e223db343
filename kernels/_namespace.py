"""The seam between NumPy and CuPy: an array decides where it is worked on."""

import sys
from types import ModuleType
from typing import Any, TypeAlias, TypeGuard

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
"""A NumPy array, or a CuPy array in its place."""

_beside_cupy: dict[type, ModuleType] = {}
"""Other kinds of device arrays, and the module that stands in for CuPy: empty but for the tests' emulated device."""


def is_device(x: object) -> TypeGuard[Array]:
    """Whether `x` lives on a GPU; never imports CuPy itself."""
    return _device_namespace(x) is not None


def get_namespace(*arrays: object) -> ModuleType:
    """The module (numpy or cupy) that the arrays belong to; TypeError when hosts and devices are mixed."""
    namespaces = {_device_namespace(x) or np for x in arrays}
    if len(namespaces) > 1:
        raise TypeError("host and device arrays are mixed; move them with like or to_host first")
    return namespaces.pop() if namespaces else np


def to_host(x: Array) -> Array:
    """The same values as a NumPy array."""
    namespace = _device_namespace(x)
    return x if namespace is None else np.asarray(namespace.asnumpy(x))


def like(x: Array, reference: Array) -> Array:
    """`x` where `reference` lives: host to device when the reference is a device array, unchanged otherwise."""
    namespace = _device_namespace(reference)
    if namespace is None or is_device(x):
        return x
    moved: Array = namespace.asarray(x)
    return moved


def _device_namespace(x: object) -> ModuleType | None:
    """The module that works on a device array; None for anything on the host."""
    cupy = sys.modules.get("cupy")
    if cupy is not None and isinstance(x, cupy.ndarray):
        return cupy
    for kind, module in _beside_cupy.items():
        if isinstance(x, kind):
            return module
    return None
