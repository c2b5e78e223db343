"""Time courses that scans are mixed from: networks, physiology, head motion and scanner drift."""

import numpy as np
from numpy.typing import NDArray

MOTION_NAMES = ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z")
_HEAD_RADIUS = 50.0  # mm, Power et al. 2012
_HIGH_PASS_PERIOD = 128.0  # s, fMRIPrep's cosine regressors


def bold_like(rng: np.random.Generator, n_timepoints: int, n_series: int, *, tr: float) -> NDArray[np.float64]:
    """Stationary series with a resting-state spectrum: power falls as 1/f and ends at 0.1 Hz.

    The haemodynamic response lets hardly anything faster than 0.1 Hz through. White noise of twice the length is
    shaped in the Fourier domain and its first half kept, so that the end does not meet the beginning.

    Parameters
    ----------
    rng : source of randomness.
    n_timepoints, n_series : shape of the result.
    tr : repetition time, s.

    Returns
    -------
    series : (n_timepoints, n_series) float64, mean 0 and SD 1.
    """
    white = np.fft.rfft(rng.standard_normal((2 * n_timepoints, n_series)), axis=0)
    frequency = np.fft.rfftfreq(2 * n_timepoints, tr)
    amplitude = 1.0 / np.sqrt(frequency + 0.01) / np.sqrt(1.0 + (frequency / 0.09) ** 12)
    amplitude[0] = 0.0
    return standardised(np.fft.irfft(white * amplitude[:, None], n=2 * n_timepoints, axis=0)[:n_timepoints])


def network_series(rng: np.random.Generator, n_timepoints: int, n_networks: int, *, tr: float) -> NDArray[np.float64]:
    """BOLD-like series that do not correlate with one another in this very scan.

    A short scan correlates independent networks by chance, which would bend the planted gradients in a different way
    each time. Löwdin's symmetric orthogonalisation takes that out and stays closest to the series it began with;
    directions that hardly occur (fewer frequencies than networks) are not blown up.

    Returns
    -------
    series : (n_timepoints, n_networks) float64, mean 0; SD 1 where the scan is long enough.
    """
    u, size, vt = np.linalg.svd(bold_like(rng, n_timepoints, n_networks, tr=tr), full_matrices=False)
    return np.asarray(np.sqrt(n_timepoints) * (u * np.minimum(1.0, 10.0 * size / size[0])) @ vt)


def motion_trace(rng: np.random.Generator, n_timepoints: int) -> NDArray[np.float64]:
    """Head position: a slow random walk that is pulled back, and a sudden movement now and then.

    Returns
    -------
    motion : (n_timepoints, 6) float64: translations in mm, rotations in rad (MOTION_NAMES).
    """
    restlessness = rng.lognormal(0.0, 0.4)
    steps = 0.03 * restlessness * rng.standard_normal((n_timepoints, 6))
    jerks = (rng.random(n_timepoints) < 0.02 * restlessness)[:, None] * rng.normal(0.0, 0.4, (n_timepoints, 6))
    motion = np.empty((n_timepoints, 6))
    position, startle = np.zeros(6), np.zeros(6)
    for t in range(n_timepoints):
        position = 0.98 * position + steps[t]
        startle = 0.5 * startle + jerks[t]
        motion[t] = position + startle
    return np.asarray(motion / [1.0, 1.0, 1.0, _HEAD_RADIUS, _HEAD_RADIUS, _HEAD_RADIUS])


def expand(series: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, 4k) the k series, their backward differences (first 0), and the squares of both: Friston's 24 for k = 6."""
    difference = np.diff(series, axis=0, prepend=series[:1])
    return np.hstack([series, difference, series**2, difference**2])


def framewise_displacement(motion: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n - 1,) mm: sum of absolute differences, rotations on a sphere of 50 mm (Power et al. 2012)."""
    return np.asarray(np.abs(np.diff(motion, axis=0)) @ [1.0, 1.0, 1.0, _HEAD_RADIUS, _HEAD_RADIUS, _HEAD_RADIUS])


def cosine_drifts(n_timepoints: int, tr: float) -> NDArray[np.float64]:
    """(n_timepoints, k) unit-norm discrete cosines slower than one cycle in 128 s; k may be 0."""
    order = min(int(2.0 * n_timepoints * tr / _HIGH_PASS_PERIOD), n_timepoints - 1)
    phase = np.pi * (np.arange(n_timepoints) + 0.5) / n_timepoints
    return np.asarray(np.sqrt(2.0 / n_timepoints) * np.cos(np.outer(phase, np.arange(1, order + 1))))


def standardised(series: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean 0 and SD 1 over time; 0 where a series is constant."""
    centred = series - series.mean(axis=0)
    spread = centred.std(axis=0)
    return np.asarray(centred / np.where(spread > 0.0, spread, 1.0))
