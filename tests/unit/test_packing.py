"""Packed symmetric matrices."""

import numpy as np
import pytest

from thalgpu.engine.outputs.packing import pack_upper, unpack_upper


# 1; smaller than, equal to, and beyond one mirrored block, with a ragged edge
@pytest.mark.parametrize("n", [1, 2, 255, 256, 257, 600])
def test_packing_is_the_upper_triangle_and_comes_back(n: int, rng: np.random.Generator) -> None:
    half = rng.normal(size=(n, n)).astype(np.float32)
    matrix = half + half.T
    packed = pack_upper(matrix)
    assert np.array_equal(packed, matrix[np.triu_indices(n)])
    assert np.array_equal(unpack_upper(packed, n), matrix)


@pytest.mark.parametrize("dtype", [np.bool_, np.float32, np.float64])
def test_the_dtype_is_kept(dtype: type[np.generic]) -> None:
    packed = pack_upper(np.ones((3, 3), dtype=dtype))
    assert packed.dtype == unpack_upper(packed, 3).dtype == dtype


def test_negative_zero_is_kept() -> None:
    matrix = np.full((2, 2), -0.0, dtype=np.float32)
    assert np.signbit(unpack_upper(pack_upper(matrix), 2)).all()


def test_a_matrix_that_is_not_square_is_refused() -> None:
    with pytest.raises(ValueError, match="square"):
        pack_upper(np.zeros((2, 3), dtype=np.float32))


def test_a_length_that_is_no_triangle_is_refused() -> None:
    with pytest.raises(ValueError, match="not the packed triangle"):
        unpack_upper(np.zeros(5, dtype=np.float32), 3)
