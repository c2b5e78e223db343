"""Trend surfaces on planted polynomials, and against an evidence maximisation written out in full."""

import numpy as np
import pytest
from scipy.optimize import minimize

from thalgpu.engine.gradients.trend_surface import fit_trend_surface
from thalgpu.errors import NumericsError, UsageError


def positions(rng: np.random.Generator, n: int = 300) -> np.ndarray:
    return rng.uniform([-20, -30, 0], [-2, 0, 20], (n, 3))


def standard(values: np.ndarray) -> np.ndarray:
    return (values - values.mean(axis=0)) / values.std(axis=0)


def test_planted_polynomial_is_recovered(rng):
    xyz = positions(rng)
    z = standard(xyz)
    planted = 1.5 * z[:, 0] - 0.5 * z[:, 1] + 0.3 * z[:, 2] ** 3
    fit = fit_trend_surface(7 + planted + 0.05 * rng.standard_normal(300), xyz, 3)
    expected = np.zeros(9)
    expected[[0, 1, 8]] = [1.5, -0.5, 0.3]
    # an intercept that the model lacks, and noise of 0.05: five of the posterior's standard deviations
    assert (np.abs(fit.coefficients - expected / planted.std()) < 5 * fit.sd + 0.01).all()
    assert fit.explained_variance > 0.99
    assert fit.rmse == pytest.approx(0.05, rel=0.5)


def written_out(gradient: np.ndarray, xyz: np.ndarray, order: int) -> tuple[np.ndarray, np.ndarray, float]:
    basis = np.hstack([standard(xyz) ** power for power in range(1, order + 1)])
    y, (n, d) = standard(gradient), basis.shape

    def posterior(log_precisions):
        beta, alpha = np.exp(log_precisions)
        precision = beta * basis.T @ basis + alpha * np.eye(d)
        return beta, alpha, precision, beta * np.linalg.solve(precision, basis.T @ y)

    def negative_log(log_precisions):
        beta, alpha, precision, mean = posterior(log_precisions)
        log_evidence = n * np.log(beta) + d * np.log(alpha) - n * np.log(2 * np.pi) - np.linalg.slogdet(precision)[1]
        return -0.5 * (log_evidence - beta * ((y - basis @ mean) ** 2).sum() - alpha * mean @ mean)

    found = minimize(negative_log, [0, 0], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-11})
    _, _, precision, mean = posterior(found.x)
    return mean, np.sqrt(np.diagonal(np.linalg.inv(precision))), found.fun


@pytest.mark.parametrize("order", [1, 2, 3, 5])
@pytest.mark.parametrize("noise", [0.1, 1.0])
def test_fit_equals_an_evidence_maximisation_without_derivatives(rng, order, noise):
    xyz = positions(rng)
    gradient = np.sin(xyz[:, 0] / 5) + xyz[:, 1] / 10 + noise * rng.standard_normal(300)
    fit = fit_trend_surface(gradient, xyz, order)
    mean, sd, negative_log_evidence = written_out(gradient, xyz, order)
    assert fit.negative_log_evidence == pytest.approx(negative_log_evidence, abs=1e-7)
    # a flat optimum: both searches stop within some 1e-6 of it in (log β, log α)
    np.testing.assert_allclose(fit.coefficients, mean, atol=1e-5)
    np.testing.assert_allclose(fit.sd, sd, rtol=1e-4)


def test_noise_has_no_surface(rng):
    fit = fit_trend_surface(rng.standard_normal(300), positions(rng), 3)
    assert fit.explained_variance < 0.05
    assert np.abs(fit.coefficients).max() < 0.2


def test_position_and_scale_of_gradient_and_space_do_not_matter(rng):
    xyz, gradient = positions(rng), rng.standard_normal(300)
    gradient += xyz[:, 0]
    fit, other = fit_trend_surface(gradient, xyz), fit_trend_surface(5 + 100 * gradient, 3 + 0.1 * xyz)
    np.testing.assert_allclose(fit.coefficients, other.coefficients, atol=1e-6)
    assert other.rmse == pytest.approx(100 * fit.rmse)


@pytest.mark.parametrize(
    ("gradient", "xyz", "order"),
    [
        (np.ones(50), np.random.default_rng(0).random((50, 3)), 3),
        (np.arange(50.0), np.ones((50, 3)), 3),
        (np.full(50, np.nan), np.random.default_rng(0).random((50, 3)), 3),
        (np.arange(49.0), np.random.default_rng(0).random((50, 3)), 3),
        (np.arange(9.0), np.random.default_rng(0).random((9, 3)), 3),
    ],
    ids=["constant gradient", "constant axis", "not finite", "lengths differ", "too few voxels"],
)
def test_surfaces_without_an_answer_are_refused(gradient, xyz, order):
    with pytest.raises(NumericsError):
        fit_trend_surface(gradient, xyz, order)


@pytest.mark.parametrize("order", [0, 10, 50, 2.5, None, True])
def test_orders_outside_one_to_nine_are_usage_errors(rng, order):
    with pytest.raises(UsageError, match="order"):
        fit_trend_surface(np.arange(280.0), positions(rng, 280), order)


def test_the_highest_order_has_coefficients_of_ordinary_size(rng):
    fit = fit_trend_surface(rng.standard_normal(280), positions(rng, 280), 9)
    assert np.abs(fit.coefficients).max() < 100


def test_an_axis_of_five_slices_has_no_fifth_power_of_its_own(rng):
    grid = np.argwhere(np.ones((7, 8, 5))).astype(float)
    gradient = grid[:, 0] + 0.1 * rng.standard_normal(len(grid))
    assert fit_trend_surface(gradient, grid, 4).explained_variance > 0.9
    with pytest.raises(NumericsError, match="cannot tell the powers up to 5 apart"):
        fit_trend_surface(gradient, grid, 5)


@pytest.mark.parametrize("wrong", [[1.0, 2.0], None, np.ma.masked_array(np.arange(50.0))])
def test_what_is_no_array_is_refused(rng, wrong):
    with pytest.raises(NumericsError, match=r"NumPy array|masked"):
        fit_trend_surface(wrong, positions(rng, 50), 1)
