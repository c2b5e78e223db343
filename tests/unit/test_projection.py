"""Projections onto targets against the correlations of a connectivity matrix formed in full."""

import numpy as np
import pytest

from thalgpu.engine.gradients import projection
from thalgpu.engine.gradients.projection import project_to_targets
from thalgpu.errors import NumericsError


def formed_in_full(gradients: np.ndarray, seed_ts: np.ndarray, target_ts: np.ndarray) -> np.ndarray:
    n_voxels = len(gradients)
    r = np.corrcoef(seed_ts.T, target_ts.T)[:n_voxels, n_voxels:]
    return np.corrcoef(r.T, gradients.T)[: r.shape[1], r.shape[1] :]


def test_projection_equals_correlations_of_the_formed_matrix(rng, monkeypatch):
    monkeypatch.setattr(projection, "_TARGETS", 100)  # several blocks, the last not full
    gradients = rng.standard_normal((40, 3))
    shared = rng.standard_normal((100, 1))
    seed_ts, target_ts = shared + rng.standard_normal((100, 40)), 1e4 + shared + rng.standard_normal((100, 250))
    result = project_to_targets(gradients, seed_ts, target_ts)
    np.testing.assert_allclose(result, formed_in_full(gradients, seed_ts, target_ts), atol=1e-9)


def test_float32_series_are_summed_in_float64(rng):
    gradients = rng.standard_normal((40, 3)).astype(np.float32)
    seed_ts, target_ts = (rng.standard_normal((100, n)).astype(np.float32) for n in (40, 60))
    result = project_to_targets(gradients, seed_ts, target_ts)
    assert result.dtype == np.float32
    expected = formed_in_full(*(x.astype(np.float64) for x in (gradients, seed_ts, target_ts)))
    np.testing.assert_allclose(result, expected, atol=1e-6)


def test_constant_voxels_take_no_part_and_constant_targets_get_zero(rng):
    gradients, seed_ts = rng.standard_normal((40, 3)), rng.standard_normal((100, 40))
    target_ts = rng.standard_normal((100, 60))
    seed_ts[:, 3], target_ts[:, 5] = 2.0, 7.0
    result = project_to_targets(gradients, seed_ts, target_ts)
    np.testing.assert_array_equal(result[5], 0)
    rows, columns = np.arange(40) != 3, np.arange(60) != 5
    expected = formed_in_full(gradients[rows], seed_ts[:, rows], target_ts[:, columns])
    np.testing.assert_allclose(result[columns], expected, atol=1e-9)


def test_a_target_that_follows_one_end_of_the_gradient_projects_there(rng):
    gradients = np.linspace(-1, 1, 40)[:, None]
    ends = rng.standard_normal((200, 2))
    share = (gradients[:, 0] + 1) / 2
    seed_ts = ends[:, :1] * share + ends[:, 1:] * (1 - share) + 0.1 * rng.standard_normal((200, 40))
    result = project_to_targets(gradients, seed_ts, ends)
    assert result[0, 0] > 0.9
    assert result[1, 0] < -0.9


@pytest.mark.parametrize(
    ("gradients", "seed_shape", "target_shape"),
    [
        (np.ones((39, 2)), (100, 40), (100, 60)),
        (np.ones(40), (100, 40), (100, 60)),
        (np.full((40, 2), np.nan), (100, 40), (100, 60)),
        (np.ones((40, 2)), (100, 40), (90, 60)),
    ],
)
def test_arrays_that_do_not_fit_are_refused(rng, gradients, seed_shape, target_shape):
    with pytest.raises(NumericsError):
        project_to_targets(gradients, rng.standard_normal(seed_shape), rng.standard_normal(target_shape))
