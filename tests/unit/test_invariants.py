"""Contrasts that compare a mean with 0."""

import numpy as np
import pytest

from thalgpu.engine.inference.invariants import against_zero
from thalgpu.engine.inference.model import Contrast, Design

GROUPS = np.repeat(np.eye(3), 4, axis=0)
AGE = np.arange(12.0)
SEX = np.tile([0.0, 1], 6)


@pytest.mark.parametrize(
    ("matrix", "weights", "is_mean"),
    [
        (GROUPS, [[1, 0, 0]], True),
        (GROUPS, [[0.5, 0.5, 0]], True),
        (GROUPS, [[1, -1, 0]], False),
        (GROUPS, [[0.5, 0.5, -1]], False),
        (GROUPS, [[1, -1, 0], [0, 1, -1]], False),
        (GROUPS, [[1, 0, 0], [0, 1, 0]], True),
        (np.column_stack([GROUPS, AGE, SEX]), [[0, 0, 0, 1, 0]], False),
        (np.column_stack([GROUPS, AGE, SEX]), [[0, 0, 0, 0, 1]], False),
        (np.column_stack([GROUPS, 1e6 * AGE, SEX]), [[1, 0, 0, 0, 0]], True),
        (np.column_stack([np.ones(12), SEX]), [[0, 1]], False),
        (np.column_stack([np.ones(12), SEX]), [[1, 0]], True),
        (np.column_stack([AGE, SEX]), [[1, 0]], False),  # no constant in the model
    ],
)
def test_a_contrast_that_a_constant_changes_is_a_mean(matrix, weights, is_mean):
    contrast = Contrast("c", "c", np.array(weights, dtype=float), "t" if len(weights) == 1 else "f")
    found = against_zero(Design(matrix, tuple("abcde"[: matrix.shape[1]]), (contrast,)))
    assert [one.name for one in found] == (["c"] if is_mean else [])
