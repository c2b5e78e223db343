"""One simulated person: true gradients, and scans in which connectivity follows from them.

Grey matter is tuned to N_NETWORKS networks: a voxel with latent coordinates l takes part in the network centred at c by
exp(-|l - c|² / 2 w²), scaled so that its neural signal has variance 1. Two places correlate as their tunings do, so
connectivity falls with latent distance, and the gradients of the connectivity are the latent coordinates.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.simulate.anatomy import (
    CSF,
    N_GRADIENTS,
    TARGET_EXTENT,
    THALAMUS,
    WHITE_MATTER,
    Elements,
    cortex_elements,
    join,
    nuisance_elements,
    thalamus_coordinates,
    thalamus_elements,
)
from thalgpu.engine.simulate.confounds import BASELINE, ConfoundTable, measure_confounds
from thalgpu.engine.simulate.random_streams import Purpose, smooth_fields, stream
from thalgpu.engine.simulate.timecourses import (
    bold_like,
    cosine_drifts,
    expand,
    motion_trace,
    network_series,
    standardised,
)

N_NETWORKS: Final = 12
TUNING_WIDTH: Final = 0.85  # latent units; the thalamus' first gradient spans 2
SECOND_SCALE: Final = 0.75  # a difference in the second gradient counts less, which makes it the second
DEVIATION: Final = 0.15  # SD of a person's smooth deviation, latent units
ROTATION: Final = 0.15  # SD of a person's rotation of the gradients into one another, rad
EFFECT_CENTRE: Final = np.array([0.5, -0.6, 0.0])  # lateral, anterior, superior: the somatosensory relay nuclei
EFFECT_WIDTH: Final = 0.5
MOTION_SHARE, PHYSIOLOGY_SHARE, DRIFT_SHARE = 0.5, 0.5, 0.5  # SD of each in grey matter at noise 1; thermal has 1
_N_REFERENCE: Final = 60
_MEASURE_NOISE: Final = 0.5


@dataclass(frozen=True)
class SubjectTruth:
    """What was planted.

    Attributes
    ----------
    gradients : (n_voxels, 2) float64: the person's own gradients over the thalamus, about -1 to 1.
    tuning : (n_voxels, N_NETWORKS) float32: loading of each voxel on the networks, rows of norm 1.
    target_tuning : (n_targets, N_NETWORKS) float32; tuning @ target_tuning' is the noise-free connectivity.
    """

    gradients: NDArray[np.float64]
    tuning: NDArray[np.float32]
    target_tuning: NDArray[np.float32]


@dataclass(frozen=True)
class SimulatedSubject:
    """One scan of one simulated person, without files.

    Attributes
    ----------
    seed_ts : (n_timepoints, n_voxels) float32, percent signal change around 0.
    target_ts : (n_timepoints, n_targets) float32, likewise.
    confounds : what fMRIPrep would have measured in this scan.
    truth : what was planted.
    """

    seed_ts: NDArray[np.float32]
    target_ts: NDArray[np.float32]
    confounds: ConfoundTable
    truth: SubjectTruth


def simulate_subject(
    index: int = 0,
    *,
    seed: int = 0,
    n_voxels: int = 280,
    n_targets: int = 1200,
    n_timepoints: int = 200,
    tr: float = 2.0,
    noise: float = 1.0,
    effect: float = 0.0,
    run: int = 0,
) -> SimulatedSubject:
    """Time series of thalamic voxels and cortical targets in which known gradients are planted.

    Parameters
    ----------
    index : the person; a pure function of (seed, index), whatever other people there are.
    seed : of the whole cohort.
    n_voxels, n_targets, n_timepoints : at will; the first halves of voxels and targets are left, the others right.
    tr : repetition time, s.
    noise : 0 for none; at 1, thermal noise has the SD of the neural signal, motion, physiology and drift half.
    effect : by how many SDs of the first gradient its posterior-lateral end is moved forward; 0 for the null.
    run : number of the scan; the person stays the same, the time courses do not.

    Returns
    -------
    subject : 2,248 voxels, 20,000 targets and 300 time points take about 0.3 s on one core.
    """
    person = Person(seed, index, noise=noise, effect=effect)
    thalamus, cortex = thalamus_elements(n_voxels), cortex_elements(n_targets)
    elements = join(thalamus, cortex)
    scan = person.scan(elements, n_timepoints, tr=tr, run=run)
    series = scan.signal(slice(None))
    truth = SubjectTruth(person.gradients(thalamus), person.tuning(thalamus), person.tuning(cortex))
    return SimulatedSubject(series[:, :n_voxels], series[:, n_voxels:], scan.confounds, truth)


@dataclass(frozen=True)
class Scan:
    """A scan as a product: time courses (n_timepoints, n_sources) times weights (n_sources, n), and thermal noise."""

    sources: NDArray[np.float32]
    weights: NDArray[np.float32]
    noise: float
    thermal: np.random.Generator
    confounds: ConfoundTable

    def signal(self, volumes: slice) -> NDArray[np.float32]:
        """(n_volumes, n) float32, percent signal change; volumes must be asked for once and in order."""
        series = self.sources[volumes] @ self.weights
        if self.noise > 0.0:
            series += np.float32(self.noise) * self.thermal.standard_normal(series.shape, dtype=np.float32)
        return np.asarray(series)


@dataclass(frozen=True)
class Person:
    """A person as functions of position: nothing is stored, so any set of voxels or vertices can be asked for."""

    seed: int
    index: int
    noise: float = 1.0
    effect: float = 0.0

    def gradients(self, thalamus: Elements) -> NDArray[np.float64]:
        """(n, N_GRADIENTS) true gradients: the population's, a person's deviation and rotation, the group's effect."""
        rng = stream(self.seed, self.index, Purpose.GRADIENTS)
        mirrored = np.column_stack([np.abs(thalamus.xyz[:, 0]), thalamus.xyz[:, 1:]])
        angle = rng.normal(0.0, ROTATION)
        deviation = DEVIATION * smooth_fields(rng, mirrored, N_GRADIENTS, length=12.0).T
        rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        gradients = (thalamus.latent + deviation) @ rotation
        gradients[:, 0] += effect_map(thalamus, self.effect)
        return np.asarray(gradients)

    def tuning(self, elements: Elements) -> NDArray[np.float32]:
        """(n, N_NETWORKS) loadings on the networks, rows of norm 1; 0 outside grey matter."""
        latent = elements.latent.copy()
        thalamic = elements.tissue == THALAMUS
        latent[thalamic] = self.gradients(elements.take(thalamic))
        scale = np.array([1.0, SECOND_SCALE])
        offset = (latent[:, None] - network_centres()) * scale
        loading = np.exp(-(offset**2).sum(axis=2) / (2.0 * TUNING_WIDTH**2))
        loading /= np.linalg.norm(loading, axis=1, keepdims=True)
        loading[(elements.tissue == WHITE_MATTER) | (elements.tissue == CSF)] = 0.0
        return np.asarray(loading, dtype=np.float32)

    def baseline(self, elements: Elements) -> NDArray[np.float32]:
        """(n,) float32 mean signal in scanner units: about BASELINE, shaded by the coil, another in each tissue."""
        rng = stream(self.seed, self.index, Purpose.BASELINE)
        shading = 1.0 + 0.08 * smooth_fields(rng, elements.xyz, 1, length=50.0)[0].clip(-3.0, 3.0)
        contrast = np.select([elements.tissue == WHITE_MATTER, elements.tissue == CSF], [0.9, 1.15], 1.0)
        return np.asarray(BASELINE * contrast * shading, dtype=np.float32)

    def scan(self, elements: Elements, n_timepoints: int, *, tr: float, run: int = 0) -> Scan:
        """Mix one scan of these elements and measure its confounds."""
        at = (self.seed, self.index)
        networks = network_series(stream(*at, Purpose.NETWORKS, run), n_timepoints, N_NETWORKS, tr=tr)
        physiology = bold_like(stream(*at, Purpose.PHYSIOLOGY, run), n_timepoints, 3, tr=tr)
        motion = motion_trace(stream(*at, Purpose.MOTION, run), n_timepoints)
        drift = standardised(cosine_drifts(n_timepoints, tr))
        sources = np.hstack([networks, physiology, standardised(expand(motion)), drift]).astype(np.float32)
        everything = join(elements, nuisance_elements(_N_REFERENCE))
        weights = self._weights(everything, n_drifts=drift.shape[1])
        n = len(elements)
        measured = sources @ weights[:, n:]
        measuring = stream(*at, Purpose.REFERENCE, run)
        measured += np.float32(_MEASURE_NOISE) * measuring.standard_normal(measured.shape, np.float32)
        confounds = measure_confounds(
            motion,
            white_matter=measured[:, :_N_REFERENCE],
            csf=measured[:, _N_REFERENCE:],
            brain=sources @ weights[:, :n].mean(axis=1),
            tr=tr,
        )
        weights[N_NETWORKS:] *= self.noise  # only now: the table of a noise-free scan still has varying columns
        return Scan(sources, weights[:, :n], self.noise, stream(*at, Purpose.THERMAL, run), confounds)

    def _weights(self, elements: Elements, *, n_drifts: int) -> NDArray[np.float32]:
        """(n_sources, n) at noise 1, in the order of the sources: networks, physiology, 24 of motion, drifts."""
        rng = stream(self.seed, self.index, Purpose.WEIGHTS)
        body = smooth_fields(rng, elements.xyz, 3, length=30.0)
        # breathing is everywhere, white matter's and CSF's own signals leak into their neighbours
        everywhere = np.array([[1.0, 0.3, 0.3], [0.5, 1.2, 0.2], [0.4, 0.2, 1.5]], dtype=np.float32)
        row = np.searchsorted([WHITE_MATTER, CSF], elements.tissue, side="right")
        physiology = everywhere[row].T * (1.0 + 0.3 * body)
        motion = smooth_fields(rng, elements.xyz, 24, length=30.0) / np.sqrt(24.0)
        drift = smooth_fields(rng, elements.xyz, n_drifts, length=30.0) / np.sqrt(max(n_drifts, 1))
        noise = (PHYSIOLOGY_SHARE * physiology, MOTION_SHARE * motion, DRIFT_SHARE * drift)
        return np.vstack([self.tuning(elements).T, *noise]).astype(np.float32)


def network_centres() -> NDArray[np.float64]:
    """(N_NETWORKS, 2) latent coordinates: a grid of 4 × 3, every other row shifted by half, that covers all targets."""
    first, second = np.meshgrid(np.arange(4), np.arange(3), indexing="ij")
    shifted = first + 0.25 + 0.5 * (second % 2)
    unit = np.column_stack([shifted.ravel() / 2.0 - 1.0, (second.ravel() + 0.5) / 1.5 - 1.0])
    return np.asarray((TARGET_EXTENT + 0.2) * unit)


def effect_map(thalamus: Elements, effect: float) -> NDArray[np.float64]:
    """(n,) what a group's effect adds to the first gradient: a smooth bump over the posterior-lateral thalamus.

    It moves the posterior end forward, so that the first gradient is compressed there. Its peak is `effect` SDs of the
    first gradient (a uniform variable from -1 to 1 has SD 1/√3).
    """
    distance = np.linalg.norm(thalamus_coordinates(thalamus.xyz) - EFFECT_CENTRE, axis=1)
    return np.asarray(effect / np.sqrt(3.0) * np.exp(-(distance**2) / (2.0 * EFFECT_WIDTH**2)))
