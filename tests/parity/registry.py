"""The parity registry: every public kernel, with every branch of its parameters, on every kind of input.

A file `cases_NAME.py` of this folder holds the cases of the module `thalgpu.kernels.NAME` in a tuple CASES. The same
cases run on the CPU twin, on the emulated device (plain and checked) and, with `pytest -m gpu`, on a real one, each
against the float64 reference.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Arrays = tuple[Any, ...]


@dataclass(frozen=True, eq=False)
class Case:
    """One call of a public kernel.

    Attributes
    ----------
    operation : the public function of `thalgpu.kernels`, which takes host or device arrays.
    name : what is special about the input, e.g. "one column" or "ties"; unique within an operation.
    arguments : makes the positional arguments from a generator; arrays are host arrays, moved by the runner.
    reference : a plain float64 NumPy text-book version with the same arguments and options.
    options : keyword arguments.
    tolerance : largest accepted |result − reference|, relative to the largest |reference|; 0 for equal bits.
    reason : why this tolerance, in words.
    cuda : names of the `.cu` kernels that the device branch launches, as "module:kernel"; empty where it is array-API.
    small : cheap enough for the checked emulator, which is some hundred times slower.
    overwritten : places of the arguments that the operation writes over; all others must stay as they are. An operation
        that returns nothing is judged by these.
    on_host : places among the results that are host arrays wherever the arguments are.
    view : makes the arrays that are compared from the results, where those are not unique (say, the projector on a
        space from a basis of it); gets and returns host arrays.
    """

    operation: Callable[..., Any]
    name: str
    arguments: Callable[[np.random.Generator], Arrays]
    reference: Callable[..., Any]
    tolerance: float
    reason: str
    options: Mapping[str, Any] = field(default_factory=dict)
    cuda: tuple[str, ...] = ()
    small: bool = True
    overwritten: tuple[int, ...] = ()
    on_host: tuple[int, ...] = ()
    view: Callable[[Arrays], Arrays] | None = None
