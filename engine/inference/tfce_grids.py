"""What a height is worth in TFCE: the integral of h^H dh up to it, or a sum over the thresholds that a peer takes.

Each function gives F of every value of a batch of maps, for `thalgpu.kernels.tfce`; only F of positive values counts.
"""

from typing import Literal

import numpy as np

from thalgpu.errors import NumericsError
from thalgpu.kernels._namespace import Array, get_namespace, like

_STEPS = 100
_MOST_STEPS = 1_000_000
"""Thresholds that randomise's grid may have; from 2²⁴ on, adding a step in float32 changes nothing."""
_LEAST_MAXIMUM = 1e-300
"""Maps below it have no thresholds: a hundredth of their maximum is not a normal number."""


def exact_integral(values: Array, height_power: float) -> Array:
    """h^(H+1) / (H+1) of each value h."""
    exponent = height_power + 1
    if exponent != int(exponent):
        powers: Array = get_namespace(values).maximum(values, 0) ** exponent / exponent
        return powers
    powers = values
    for _ in range(int(exponent) - 1):  # several times faster than `**`
        powers = powers * values
    return powers / exponent


def own_steps(values: Array, maxima: Array, height_power: float, peer: Literal["palm", "nilearn"]) -> Array:
    """Sum of h^H over the thresholds h up to each value, of which there are 100 up to the maximum of each map.

    Parameters
    ----------
    values : (n_maps, n_features) float64
    maxima : (n_maps,) float64
        Where the steps of each map lead to.
    height_power : H.
    peer : whose thresholds to repeat to the last bit. PALM's sum is taken times their distance, nilearn's is not.

    Notes
    -----
    PALM's are dh:dh:max as Octave computes them, the last at the maximum or a rounding below it; nilearn's are
    linspace(0, max, 101) without the first.
    """
    xp = get_namespace(values)
    last = xp.where(maxima > _LEAST_MAXIMUM, maxima, 1.0)[:, None]
    step = last / _STEPS
    if peer == "palm":
        heights = step + like(np.arange(float(_STEPS)), values) * step
        last, weight = xp.minimum(heights[:, -1:], last), step
    else:
        heights, weight = like(np.arange(1.0, _STEPS + 1), values) * step, 1.0
    heights = xp.concatenate([heights[:, :-1], last], axis=1)
    sums = xp.cumsum(heights**height_power, axis=1) * weight
    sums = xp.concatenate([xp.zeros_like(last), sums], axis=1)
    worth: Array = xp.take_along_axis(sums, _n_reached(values, heights, step), axis=1)
    return worth


def _n_reached(values: Array, heights: Array, step: Array) -> Array:
    """How many of a map's heights each of its values reaches: a quotient, put right where it was rounded over one."""
    xp = get_namespace(values)
    beyond = xp.full_like(step, xp.inf)
    bounds = xp.concatenate([-beyond, heights, beyond], axis=1)
    count: Array = xp.clip(xp.floor(values / step), 0, heights.shape[1]).astype(np.int64)
    count -= values < xp.take_along_axis(bounds, count, axis=1)
    count += values >= xp.take_along_axis(bounds, count + 1, axis=1)
    return count


def fixed_steps(values: Array, reference_maximum: float, height_power: float) -> Array:
    """Sum of h^H over the thresholds h below each value, a hundredth of `reference_maximum` apart for all maps.

    randomise adds its steps up in float32, and compares in float32; so does this, since a maximum that was rounded up
    or down exceeds one threshold more or less. All zero where `reference_maximum` is not positive.

    Raises
    ------
    NumericsError
        A value more than 10,000 times as high as `reference_maximum`.
    """
    xp = get_namespace(values)
    step = np.float32(reference_maximum / _STEPS)
    if not (step > 0 and values.size):
        nothing: Array = xp.zeros_like(values)
        return nothing
    n_steps = float(values.max()) / float(step) + 2
    if n_steps > _MOST_STEPS:
        what = f"randomise's TFCE grid has steps of {step:g}, a hundredth of the unpermuted maximum"
        raise NumericsError(
            f"{what}: more than {_MOST_STEPS:,} up to {values.max():g}", remedy="take --tfce-grid exact"
        )
    heights = np.cumsum(np.full(max(int(n_steps * 1.01), 1), step), dtype=np.float32)  # on the host: one order of sums
    sums = np.concatenate([[0.0], np.cumsum(heights.astype(np.float64) ** height_power)])
    count = xp.searchsorted(like(heights, values), values.astype(np.float32).ravel(), side="left")
    worth: Array = like(sums, values)[count].reshape(values.shape)
    return worth
