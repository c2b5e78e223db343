"""Randomness as an address: every stream is a pure function of (seed, subject, purpose, run)."""

from enum import IntEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

_N_FEATURES: Final = 48


class Purpose(IntEnum):
    """What a stream of random numbers is for; the numbers are part of a cohort's identity and never change."""

    PHENOTYPE = 1
    GRADIENTS = 2
    WEIGHTS = 3
    NETWORKS = 4
    PHYSIOLOGY = 5
    MOTION = 6
    THERMAL = 7
    REFERENCE = 8
    BASELINE = 9
    BRAIN = 10
    SHAPE = 11


def stream(seed: int, subject: int, purpose: Purpose, run: int = 0) -> np.random.Generator:
    """Philox keyed by an address, so that one subject's numbers do not depend on how many others there are."""
    address = np.random.SeedSequence(seed, spawn_key=(subject, int(purpose), run))
    return np.random.Generator(np.random.Philox(address))


def smooth_fields(
    rng: np.random.Generator, xyz: NDArray[np.float64], n_fields: int, *, length: float
) -> NDArray[np.float32]:
    """Random smooth functions of position: sums of random cosine waves.

    They approach a Gaussian process of mean 0, variance 1 and covariance exp(-d² / 2 length²) (random Fourier
    features, Rahimi & Recht 2007), and can be evaluated anywhere: the same stream gives the same function.

    Parameters
    ----------
    rng : consumed by the same amount whatever `xyz` is.
    xyz : (n, 3) float64, mm.
    n_fields : number of functions.
    length : mm over which they vary.

    Returns
    -------
    fields : (n_fields, n) float32.
    """
    wave = rng.standard_normal((3, _N_FEATURES)) / length
    phase = rng.uniform(0.0, 2.0 * np.pi, _N_FEATURES)
    weight = rng.standard_normal((n_fields, _N_FEATURES)) * np.sqrt(2.0 / _N_FEATURES)
    features = np.cos((xyz @ wave + phase).astype(np.float32))
    return np.asarray(weight.astype(np.float32) @ features.T)
