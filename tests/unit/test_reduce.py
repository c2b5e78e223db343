"""What reductions refuse, and how exact their sums are; their bits are in the parity registry."""

import math

import numpy as np
import pytest

from thalgpu.errors import NumericsError
from thalgpu.kernels.reduce import maxima, minima, sums


@pytest.mark.parametrize("operation", [sums, maxima, minima])
@pytest.mark.parametrize("x", [np.zeros((2, 3), np.int64), np.zeros(3), np.zeros((2, 2), np.complex128)])
def test_what_is_no_matrix_of_floats_is_refused(operation, x):
    with pytest.raises(NumericsError, match="float32 or float64 matrix"):
        operation(x, axis=1)


@pytest.mark.parametrize("operation", [maxima, minima])
@pytest.mark.parametrize(("axis", "word"), [(0, "column"), (1, "row")])
def test_what_has_no_entries_has_no_extremes(operation, axis, word):
    with pytest.raises(NumericsError, match=f"a {word} without entries"):
        operation(np.zeros((0, 4) if axis == 0 else (4, 0)), axis=axis)


@pytest.mark.parametrize("axis", [0, 1])
def test_float32_is_added_up_in_float64(rng, axis):
    x = (rng.standard_normal((700, 900)) + 1e4).astype(np.float32)
    exact = [math.fsum(series) for series in (x if axis else x.T).tolist()]
    # 1e-14: each entry passes some 20 additions, each exact to 1e-16.
    np.testing.assert_allclose(sums(x, axis=axis), exact, rtol=1e-14)


def test_sums_do_not_depend_on_layout(rng):
    x = rng.standard_normal((301, 67))
    for axis in (0, 1):
        np.testing.assert_array_equal(sums(np.asfortranarray(x), axis=axis), sums(x, axis=axis))
