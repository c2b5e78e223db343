"""Weighted sums of a stack, for many sets of weights."""

import numpy as np
import pytest

from thalgpu.errors import NumericsError
from thalgpu.kernels.weighted_sums import weighted_sums


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sums_are_those_of_a_loop(rng, dtype):
    weights, stack = rng.normal(size=(5, 7)), rng.normal(size=(7, 1000)).astype(dtype)
    expected = sum(weights[:, [member]] * stack[member].astype(np.float64) for member in range(7))
    rounding = 7 * np.finfo(dtype).eps * np.abs(weights) @ np.abs(stack)
    sums = weighted_sums(weights, stack)
    assert sums.dtype == dtype
    assert (np.abs(sums - expected) <= rounding + 1e-15).all()


def test_a_stretch_of_a_longer_stack_is_summed_in_place(rng):
    weights, stack = rng.normal(size=(3, 4)), rng.normal(size=(4, 50))
    out = np.zeros((3, 20))
    assert weighted_sums(weights, stack[:, 10:30], out=out) is out
    np.testing.assert_allclose(out, (weights @ stack)[:, 10:30], rtol=1e-14)


@pytest.mark.parametrize("stack", [np.ones((4, 5), int), np.ones(4), np.ones((3, 5))])
def test_what_does_not_fit_is_refused(stack):
    with pytest.raises(NumericsError):
        weighted_sums(np.ones((2, 4)), stack)
