"""Kernels as CUDA text declares them: what a launch is held to."""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

MAX_THREADS = 1024
"""Threads in a block, on every device."""

_DTYPES = {
    "bool": "?",
    "signed char": "b",
    "unsigned char": "B",
    "short": "h",
    "unsigned short": "H",
    "int": "i",
    "unsigned": "I",
    "unsigned int": "I",
    "long long": "q",
    "unsigned long long": "Q",
    "float": "f",
    "double": "d",
}
_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_KERNEL = re.compile(
    r'extern\s+"C"\s+__global__\s+void\s+(?:__launch_bounds__\s*\((?P<bounds>[^)]*)\)\s*)?'
    r"(?P<name>\w+)\s*\((?P<parameters>[^)]*)\)"
)
_PARAMETER = re.compile(
    r"(?P<const>const\s+)?(?P<type>[a-z]+(?:\s+[a-z]+)*)(?:\s*(?P<pointer>\*)\s*(?:__restrict__\s+)?|\s+)(?P<name>\w+)"
)


@dataclass(frozen=True)
class Parameter:
    """One parameter of a kernel.

    Attributes
    ----------
    name : as in the text.
    dtype : of the scalar, or of the array's elements.
    is_array : a pointer.
    is_written : a pointer to what is not const.
    """

    name: str
    dtype: np.dtype[Any]
    is_array: bool
    is_written: bool


@dataclass(frozen=True)
class Declaration:
    """A kernel, its parameters in order, and the most threads its blocks may have (its launch bound, if a number)."""

    name: str
    parameters: tuple[Parameter, ...]
    max_threads: int = MAX_THREADS


def declarations(text: str) -> dict[str, Declaration]:
    """Find the kernels in CUDA text.

    Parameters
    ----------
    text : CUDA C++; kernels are written out as `extern "C" __global__ void [__launch_bounds__(n)] name(parameters)`.

    Returns
    -------
    Declarations by name, in the order of the text.

    Raises
    ------
    ValueError
        A parameter that no argument could be checked against, such as a structure.
    """
    return {match["name"]: _declaration(match) for match in _KERNEL.finditer(_COMMENT.sub(" ", text))}


def _declaration(match: re.Match[str]) -> Declaration:
    parameters = (part.strip() for part in match["parameters"].split(","))
    bound = (match["bounds"] or "").split(",")[0].strip()
    return Declaration(
        match["name"],
        tuple(_parameter(match["name"], part) for part in parameters if part),
        int(bound) if bound.isdecimal() else MAX_THREADS,
    )


def _parameter(kernel: str, text: str) -> Parameter:
    match = _PARAMETER.fullmatch(text)
    code = _DTYPES.get(" ".join(match["type"].split())) if match else None
    if match is None or code is None:
        raise ValueError(f"kernel {kernel}: cannot check arguments against the parameter {text!r}")
    is_array = match["pointer"] is not None
    return Parameter(match["name"], np.dtype(code), is_array, is_array and match["const"] is None)
