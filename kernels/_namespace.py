"""The seam between NumPy and CuPy: an array decides where it is worked on."""

import sys
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
"""A NumPy array, or a CuPy array in its place."""


def is_device(x: object) -> bool:
    """Whether `x` lives on a GPU; never imports CuPy itself."""
    cupy = sys.modules.get("cupy")
    return cupy is not None and isinstance(x, cupy.ndarray)


def get_namespace(*arrays: object) -> ModuleType:
    """The module (numpy or cupy) that the arrays belong to; TypeError when hosts and devices are mixed."""
    on_device = {is_device(x) for x in arrays}
    if on_device == {True, False}:
        raise TypeError("host and device arrays are mixed; move them with to_device or to_host first")
    return sys.modules["cupy"] if on_device == {True} else np


def to_host(x: Array) -> Array:
    """The same values as a NumPy array."""
    if is_device(x):
        return np.asarray(sys.modules["cupy"].asnumpy(x))
    return x


def like(x: Array, reference: Array) -> Array:
    """`x` where `reference` lives: host to device when the reference is a device array, unchanged otherwise."""
    if is_device(reference) and not is_device(x):
        moved: Array = sys.modules["cupy"].asarray(x)
        return moved
    return x
