"""Sums and extremes of the rows or the columns of a matrix, in a fixed tree: the same bits on every device.

The tree. The entries of a row (column) are cut into segments of 64 for each of 256 (8) lanes. Lane i of a segment adds
up entries i, i + lanes, i + 2·lanes, … in this order, beginning with zero. Then the lanes fold by halves: lane i takes
up lane i + half, where half is a half of the lanes, a quarter, and so on down to one. Where there are several segments,
their sums are the entries of the next round. All of it is in float64.
"""

from typing import Literal

import numpy as np

from thalgpu.errors import NumericsError
from thalgpu.kernels._cuda import int32, launch
from thalgpu.kernels._namespace import Array, get_namespace, is_device

_LANE_ENTRIES = 64
_LANES = {1: 256, 0: 8}
_COLUMNS, _THREADS = 32, 256
_WORDS = {1: ("row", "columns"), 0: ("column", "rows")}


def sums(x: Array, /, *, axis: Literal[0, 1]) -> Array:
    """Sum of each row or of each column, in the tree of this module.

    Parameters
    ----------
    x : (n_rows, n_columns) float32 or float64
        C-contiguous on a device. Not modified.
    axis : 1 for the sums of rows, 0 for those of columns.

    Returns
    -------
    sums : (n_rows,) or (n_columns,) float64
        0 where there is nothing to add up. NaN and infinity as IEEE 754 adds them.

    Raises
    ------
    NumericsError
        When `x` is not a float32 or float64 matrix.
    """
    _require_floats(x)
    return _sums_on_device(x, axis) if is_device(x) else _sums_on_host(x if axis == 1 else x.T, _LANES[axis])


def maxima(x: Array, /, *, axis: Literal[0, 1]) -> tuple[Array, Array]:
    """Largest entry of each row or of each column, and where it is.

    Parameters
    ----------
    x : (n_rows, n_columns) float32 or float64
        C-contiguous on a device. Not modified.
    axis : 1 for the maxima of rows, 0 for those of columns.

    Returns
    -------
    values : (n_rows,) or (n_columns,), dtype of `x`
        NaN where there is one.
    positions : same shape, int64
        Column (row) of the largest entry; of several equal ones the first, and of NaN the first.

    Raises
    ------
    NumericsError
        When `x` is not a float32 or float64 matrix, or its rows (columns) have no entries.
    """
    return _extremes(x, axis, largest=True)


def minima(x: Array, /, *, axis: Literal[0, 1]) -> tuple[Array, Array]:
    """Smallest entry of each row or of each column, and where it is; otherwise as `maxima`."""
    return _extremes(x, axis, largest=False)


def _require_floats(x: Array) -> None:
    if x.ndim != 2 or x.dtype.name not in ("float32", "float64"):
        raise NumericsError(f"sums and extremes need a float32 or float64 matrix, not {x.ndim}-D {x.dtype.name}")


@np.errstate(invalid="ignore")  # ∞ − ∞
def _sums_on_host(rows: Array, lanes: int) -> Array:
    """The tree as the module describes it, of all rows at once."""
    n_rows, length = rows.shape
    size = _LANE_ENTRIES * lanes
    if length > size:
        segments = [_sums_on_host(rows[:, start : start + size], lanes) for start in range(0, length, size)]
        return _sums_on_host(np.stack(segments, axis=1), lanes)
    found = np.zeros((n_rows, lanes))
    for start in range(0, length, lanes):
        entries = rows[:, start : start + lanes]
        found[:, : entries.shape[1]] += entries
    for half in (2**power for power in reversed(range(lanes.bit_length() - 1))):
        found = found[:, :half] + found[:, half : 2 * half]
    return found[:, 0]


def _sums_on_device(x: Array, axis: Literal[0, 1]) -> Array:
    xp = get_namespace(x)
    if x.shape[axis] == 0:
        nothing: Array = xp.zeros(x.shape[1 - axis])
        return nothing
    partial: Array = xp.empty(_partial_shape(x, axis), dtype=xp.float64)
    _launch("sums", x, axis, partial)
    return partial.ravel() if partial.shape[axis] == 1 else _sums_on_device(partial, axis)


def _extremes(x: Array, axis: Literal[0, 1], *, largest: bool) -> tuple[Array, Array]:
    _require_floats(x)
    if x.shape[axis] == 0:
        raise NumericsError(f"a {_WORDS[axis][0]} without entries has no extremes")
    if is_device(x):
        return _extremes_on_device(x, axis, largest)
    positions = x.argmax(axis=axis) if largest else x.argmin(axis=axis)
    return _taken(x, positions, axis), positions


def _extremes_on_device(x: Array, axis: Literal[0, 1], largest: bool) -> tuple[Array, Array]:
    """Extremes of segments, and then the extreme of those; the first of equal ones each time, hence of all."""
    xp = get_namespace(x)
    values, positions = (xp.empty(_partial_shape(x, axis), dtype=dtype) for dtype in (x.dtype, xp.int64))
    _launch("extremes", x, axis, values, positions, np.bool_(largest))
    if values.shape[axis] == 1:
        return values.ravel(), positions.ravel()
    overall, segment = _extremes_on_device(values, axis, largest)
    return overall, _taken(positions, segment, axis)


def _taken(x: Array, positions: Array, axis: int) -> Array:
    """The entry at a position of each row or column."""
    xp = get_namespace(x)
    taken: Array = xp.take_along_axis(x, xp.expand_dims(positions, axis), axis=axis).ravel()
    return taken


def _partial_shape(x: Array, axis: int) -> tuple[int, ...]:
    """Of one result a segment: `x` with its axis shortened."""
    n_segments = -(-x.shape[axis] // (_LANE_ENTRIES * _LANES[axis]))
    return tuple(n_segments if place == axis else length for place, length in enumerate(x.shape))


def _launch(what: str, x: Array, axis: int, *args: Array | np.bool_) -> None:
    """One block for a segment of a row, or of 32 columns; sizes go between arrays and flags."""
    n_segments = _partial_shape(x, axis)[axis]
    arrays = tuple(argument for argument in args if not isinstance(argument, np.bool_))
    flags = args[len(arrays) :]
    sizes, wide = (x.shape[1:], x.shape[0]) if axis == 1 else (x.shape, -(-x.shape[1] // _COLUMNS))
    name = f"{_WORDS[axis][0]}_{what}_f{8 * x.itemsize}"
    launch("reduce", name, grid=(wide, n_segments), block=_THREADS, args=(x, *arrays, *int32(*sizes), *flags))
