"""Trend-surface model of a gradient: a polynomial in space, so that a map becomes a few coefficients."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.gradients.options import require_whole
from thalgpu.errors import NumericsError
from thalgpu.kernels._checks import as_floats
from thalgpu.kernels._namespace import Array

LOG_PRECISION_BOUND = 25.0
"""Where the search for log precisions ends: e^25 is noise of 4e-6 SD, or coefficients as small."""
MAX_ORDER = 9
"""Over the voxels of a ball, monomials of order 9 have a condition number of 3e3, and each order more triples it; over
positions with a long tail it passes 1e7 here."""
MAX_CONDITION = 1e7
"""Largest condition number of Φ: that of Φ'Φ is its square, and at 1e14 its smallest eigenvalue still has a digit."""


@dataclass(frozen=True)
class TrendSurface:
    """A gradient as a polynomial of position.

    Attributes
    ----------
    coefficients : (3 · order,) float64: of x, y, z, x², y², z², …, for standardised positions and gradient.
    sd : (3 · order,) float64: posterior standard deviations of the coefficients.
    explained_variance : share of the gradient's variance, 0 to 1.
    rmse : root mean squared error, in the gradient's unit.
    negative_log_evidence : of the standardised gradient, at the precisions below.
    noise_precision, weight_precision : β and α, where the evidence is largest.
    """

    coefficients: NDArray[np.float64]
    sd: NDArray[np.float64]
    explained_variance: float
    rmse: float
    negative_log_evidence: float
    noise_precision: float
    weight_precision: float


def fit_trend_surface(gradient: Array, xyz: Array, order: int = 3) -> TrendSurface:
    """Fit a Bayesian polynomial of position to a gradient, as congrads does.

    Parameters
    ----------
    gradient : (n_voxels,) float
        One component over the voxels that have a signal; on the host.
    xyz : (n_voxels, 3) float
        Their positions in mm.
    order : int
        Largest power of each axis, 1 to 9.

    Returns
    -------
    TrendSurface

    Raises
    ------
    NumericsError
        Not arrays of numbers, shapes that do not fit, values that are not finite, a constant gradient or axis, no more
        voxels than coefficients, or positions that cannot tell the powers apart: as many slices along an axis as the
        order, or a condition number of Φ above 1e7.
    UsageError
        An order outside 1 to 9.

    Notes
    -----
    Haak et al. 2018, doi:10.1016/j.neuroimage.2017.06.075; Bishop 2006, section 3.5. Each axis and the gradient are
    standardised (mean 0, SD 1); Φ = [X, X², …, X^order] without cross terms or intercept. With noise precision β and
    weight precision α, A = β Φ'Φ + α I and m = β A⁻¹ Φ'y; the evidence is maximised over (log β, log α) from (0, 0) by
    L-BFGS with exact derivatives, both within ±25. `sd` is the root of the diagonal of A⁻¹.
    Differs from congrads in: the gradient is not rounded to four decimals; L-BFGS stands for Powell's search (same
    optimum, to more digits); explained variance is a share, not a percentage.
    """
    require_whole("order", order, most=MAX_ORDER)
    gradient = as_floats("gradient", gradient, n_axes=1).astype(np.float64)
    xyz = as_floats("xyz", xyz).astype(np.float64)
    if xyz.shape != (len(gradient), 3):
        raise NumericsError(f"a trend surface needs n values and n × 3 positions, not {gradient.shape} and {xyz.shape}")
    if len(gradient) <= 3 * order:
        raise NumericsError(f"{len(gradient)} voxels are too few for the {3 * order} coefficients of order {order}")
    basis = np.hstack([_standardized("positions", xyz) ** power for power in range(1, order + 1)])
    y = _standardized("the gradient", gradient)
    model = _Evidence(basis, y)
    if model.s[0] * MAX_CONDITION**2 < model.s[-1]:
        raise NumericsError(
            f"the positions of {len(y)} voxels cannot tell the powers up to {order} apart",
            remedy="choose a lower order",
        )
    from scipy.optimize import minimize  # loads much, and few fit trends

    found = minimize(
        model.negative_log,
        x0=np.zeros(2),
        jac=True,
        method="L-BFGS-B",
        bounds=[(-LOG_PRECISION_BOUND, LOG_PRECISION_BOUND)] * 2,
        options={"ftol": 1e-15, "gtol": 1e-9},
    )
    noise_precision, weight_precision = (float(value) for value in np.exp(found.x))
    coefficients, sd = model.posterior(noise_precision, weight_precision)
    residual = y - basis @ coefficients
    return TrendSurface(
        coefficients=coefficients,
        sd=sd,
        explained_variance=float(1 - residual.var()),
        # congrads takes residuals of the whole model, whose mean is not zero without an intercept
        rmse=float(np.sqrt((residual**2).mean()) * gradient.std()),
        negative_log_evidence=float(found.fun),
        noise_precision=noise_precision,
        weight_precision=weight_precision,
    )


def _standardized(name: str, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean 0 and SD 1 along the first axis; NumericsError where there is nothing but rounding to divide by."""
    if not np.isfinite(values).all():
        raise NumericsError(f"{name} of a trend surface: values that are not finite")
    centred = values - values.mean(axis=0)
    sd = centred.std(axis=0)
    if (sd <= 1e-12 * np.abs(values).max(axis=0)).any():
        raise NumericsError(f"{name} of a trend surface: values that do not vary")
    scaled: NDArray[np.float64] = centred / sd
    return scaled


class _Evidence:
    """Bayesian linear regression in the eigenvectors of Φ'Φ, where every (β, α) costs a few sums.

    With Φ'Φ = V diag(s) V' and c = V'Φ'y, the posterior mean is V (β c / (β s + α)).
    """

    def __init__(self, basis: NDArray[np.float64], y: NDArray[np.float64]) -> None:
        self.s, self.V = np.linalg.eigh(basis.T @ basis)
        self.s = np.maximum(self.s, 0.0)
        self.c = self.V.T @ (basis.T @ y)
        self.n, self.yy = len(y), float(y @ y)

    def negative_log(self, log_precisions: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """−log p(y | β, α) and its derivatives by log β and log α."""
        beta, alpha = np.exp(log_precisions)
        precision = beta * self.s + alpha
        weights = beta * self.c / precision
        error = self.yy - 2 * weights @ self.c + weights**2 @ self.s
        size = weights @ weights
        value = 0.5 * (
            beta * error
            + alpha * size
            + np.log(precision).sum()
            - len(self.s) * np.log(alpha)
            - self.n * np.log(beta)
            + self.n * np.log(2 * np.pi)
        )
        by_beta = 0.5 * (beta * error + (beta * self.s / precision).sum() - self.n)
        by_alpha = 0.5 * (alpha * size + (alpha / precision).sum() - len(self.s))
        return float(value), np.array([by_beta, by_alpha])

    def posterior(self, beta: float, alpha: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Mean and standard deviation of the weights."""
        precision = beta * self.s + alpha
        return self.V @ (beta * self.c / precision), np.sqrt(self.V**2 @ (1 / precision))
