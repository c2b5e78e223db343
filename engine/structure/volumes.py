"""Volumes of the thalamus: total, asymmetry, and two ways to account for the size of the head."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from thalgpu.errors import NumericsError


def total(left: ArrayLike, right: ArrayLike) -> NDArray[np.float64]:
    """Left and right together.

    Parameters
    ----------
    left, right : (n_subjects,) mm³.
    """
    left, right = _pair(left, right)
    return left + right


def asymmetry(left: ArrayLike, right: ArrayLike) -> NDArray[np.float64]:
    """(L − R) / ((L + R) / 2): positive where the left one is larger; it has no unit.

    Parameters
    ----------
    left, right : (n_subjects,) mm³, not both 0.

    Raises
    ------
    NumericsError
        When a subject has neither a left nor a right volume.
    """
    left, right = _pair(left, right)
    mean = (left + right) / 2.0
    if (mean <= 0).any():
        raise NumericsError("a subject whose left and right volumes are both 0 has no asymmetry")
    return (left - right) / mean


def residual(volumes: ArrayLike, icv: ArrayLike) -> NDArray[np.float64]:
    """Volumes as they would be at the mean intracranial volume: Y − b (ICV − mean ICV), b by least squares.

    Parameters
    ----------
    volumes : (n_subjects, n_volumes) mm³
        Or (n_subjects,). Not modified.
    icv : (n_subjects,) mm³
        Estimated total intracranial volume.

    Returns
    -------
    The shape of `volumes`, mm³; uncorrelated with `icv`, the means as they were.

    Raises
    ------
    NumericsError
        For fewer than three subjects, or an ICV that is the same in all.

    Notes
    -----
    One b for all subjects (Mathalon et al. 1993, doi:10.1016/0925-4927(93)90020-2; O'Brien et al. 2011,
    doi:10.1016/j.pscychresns.2011.01.007), so that no group is singled out and labels stay exchangeable. A covariate in
    the model is the stricter choice where groups differ in ICV: it adjusts the group for ICV too.
    """
    y, x = _adjustable(volumes, icv)
    centred = x - x.mean()
    if len(x) < 3 or not np.ptp(x) > 0:
        raise NumericsError(
            f"{len(x)} subjects whose ICV spans {np.ptp(x):g} mm³ give no slope", remedy="adjust for ICV otherwise"
        )
    slope = centred @ (y - y.mean(axis=0)) / (centred @ centred)
    adjusted: NDArray[np.float64] = y - np.multiply.outer(centred, slope)
    return adjusted


def proportion(volumes: ArrayLike, icv: ArrayLike) -> NDArray[np.float64]:
    """Volumes as shares of the intracranial volume, Y / ICV.

    Parameters
    ----------
    volumes : (n_subjects, n_volumes) or (n_subjects,) mm³.
    icv : (n_subjects,) mm³, positive.

    Returns
    -------
    The shape of `volumes`, without a unit.
    """
    y, x = _adjustable(volumes, icv)
    return y / x.reshape(-1, *[1] * (y.ndim - 1))


def _pair(left: ArrayLike, right: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    first, second = np.asarray(left, np.float64), np.asarray(right, np.float64)
    if first.shape != second.shape:
        raise NumericsError(f"{first.shape} left volumes and {second.shape} right ones")
    _require_volumes(first)
    _require_volumes(second)
    return first, second


def _adjustable(volumes: ArrayLike, icv: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    y, x = np.asarray(volumes, np.float64), np.asarray(icv, np.float64)
    if y.ndim not in (1, 2) or x.shape != y.shape[:1]:
        raise NumericsError(f"volumes of shape {y.shape} and intracranial volumes of shape {x.shape}")
    _require_volumes(y)
    if not (np.isfinite(x).all() and (x > 0).all()):
        raise NumericsError("intracranial volumes must be positive, finite mm³")
    return y, x


def _require_volumes(volumes: NDArray[np.float64]) -> None:
    if not (np.isfinite(volumes).all() and (volumes >= 0).all()):
        raise NumericsError("volumes must be finite mm³, not below 0")
