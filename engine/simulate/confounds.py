"""The confounds table of a simulated scan, with fMRIPrep's columns."""

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.simulate.timecourses import MOTION_NAMES, cosine_drifts, expand, framewise_displacement

ConfoundTable: TypeAlias = Mapping[str, NDArray[np.float64]]
"""Column → (n_timepoints,) float64; NaN in the first row where fMRIPrep writes n/a."""

BASELINE = 10_000.0
_EXPANSIONS = ("", "_derivative1", "_power2", "_derivative1_power2")
_N_ACOMPCOR = 6


def measure_confounds(
    motion: NDArray[np.float64],
    *,
    white_matter: NDArray[np.float32],
    csf: NDArray[np.float32],
    brain: NDArray[np.float32],
    tr: float,
) -> dict[str, NDArray[np.float64]]:
    """Motion, tissue means, their expansions, aCompCor, cosines, displacement and DVARS, as fMRIPrep names them.

    Parameters
    ----------
    motion : (n_timepoints, 6), mm and rad.
    white_matter, csf : (n_timepoints, n), percent signal change in nuisance voxels.
    brain : (n_timepoints,) percent signal change, mean over the brain.
    tr : repetition time, s.

    Returns
    -------
    columns : tissue signals in scanner units around BASELINE.
    """
    columns: dict[str, NDArray[np.float64]] = {}
    tissue = {"csf": csf.mean(axis=1), "white_matter": white_matter.mean(axis=1), "global_signal": brain}
    for name, percent in tissue.items():
        columns |= _expanded((name,), (BASELINE * (1.0 + 0.01 * percent.astype(np.float64)))[:, None])
    both = np.hstack([white_matter, csf]).astype(np.float64)
    columns["dvars"] = _after_first(BASELINE * 0.01 * np.sqrt((np.diff(both, axis=0) ** 2).mean(axis=1)))
    columns["framewise_displacement"] = _after_first(framewise_displacement(motion))
    columns |= {f"a_comp_cor_{k:02d}": series for k, series in enumerate(_acompcor(both, tr))}
    columns |= {f"cosine{k:02d}": series for k, series in enumerate(cosine_drifts(len(motion), tr).T)}
    return columns | _expanded(MOTION_NAMES, motion)


def to_tsv(columns: ConfoundTable) -> str:
    """fMRIPrep's TSV: a header, a row a volume, `n/a` for what is not known."""
    rows = zip(*columns.values(), strict=True)
    lines = ["\t".join("n/a" if np.isnan(x) else f"{x:.9g}" for x in row) for row in rows]
    return "\n".join(["\t".join(columns), *lines, ""])


def _expanded(names: tuple[str, ...], series: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    full = expand(series)
    is_difference = np.repeat([False, True, False, True], len(names))
    full[0, is_difference] = np.nan
    labels = [f"{name}{suffix}" for suffix in _EXPANSIONS for name in names]
    by_label = dict(zip(labels, full.T, strict=True))
    return {f"{name}{suffix}": by_label[f"{name}{suffix}"] for name in names for suffix in _EXPANSIONS}


def _after_first(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.concatenate([[np.nan], values])


def _acompcor(series: NDArray[np.float64], tr: float) -> NDArray[np.float64]:
    """(6, n_timepoints) unit-norm leading components of nuisance voxels after slow drifts are taken out."""
    cosines = cosine_drifts(len(series), tr)
    centred = series - series.mean(axis=0)
    u, _, _ = np.linalg.svd(centred - cosines @ (cosines.T @ centred), full_matrices=False)
    return np.asarray(u[:, :_N_ACOMPCOR].T)
