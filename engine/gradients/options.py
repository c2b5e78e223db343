"""Checks of the options that gradient functions take: each refusal names its parameter."""

import math
from numbers import Integral, Real

from thalgpu.errors import UsageError


def require_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    """UsageError unless `value` is one of the names in `choices`."""
    if not (isinstance(value, str) and value in choices):
        raise UsageError(f"unknown {name} {value!r}", remedy=f"choose one of {', '.join(choices)}")


def require_whole(name: str, value: object, *, most: float = math.inf) -> None:
    """UsageError unless `value` is a whole number from 1 to `most`; 10.0 and True are not."""
    number = 0 if isinstance(value, bool) or not isinstance(value, Integral) else int(value)
    if not 1 <= number <= most:
        limit = "1 or more" if most == math.inf else f"1 to {most:g}"
        raise UsageError(f"{name} is {value!r}", remedy=f"choose a whole number, {limit}")


def require_between(name: str, value: object, low: float, high: float, *, ends: str) -> None:
    """UsageError unless `value` is a number from `low` to `high`; `ends` as in "[)" says whether each belongs to it."""
    number = math.nan if isinstance(value, bool) or not isinstance(value, Real) else float(value)
    inside = low <= number <= high and (number != low or ends[0] == "[") and (number != high or ends[1] == "]")
    if not inside:
        below, above = "≤" if ends[0] == "[" else "<", "≤" if ends[1] == "]" else "<"
        raise UsageError(f"{name} is {value!r}", remedy=f"choose a number, {low:g} {below} {name} {above} {high:g}")


def require_kernel_options(kernel: object, sparsity: object, gamma: object, kernels: tuple[str, ...]) -> None:
    """UsageError unless these are a known kernel, a fraction below 1, and None or a positive number."""
    require_choice("kernel", kernel, kernels)
    require_between("sparsity", sparsity, 0, 1, ends="[)")
    if gamma is not None:
        require_between("gamma", gamma, 0, math.inf, ends="()")
