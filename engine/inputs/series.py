"""From a subject's files and two regions to cleaned, joined time series."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from thalgpu.engine.config import CleaningOptions
from thalgpu.engine.inputs.cleaning import Projection, clean, make_projection
from thalgpu.engine.inputs.confounds import (
    ConfoundsTable,
    confound_regressors,
    framewise_displacement,
    read_confounds,
)
from thalgpu.engine.inputs.headers import repetition_time
from thalgpu.engine.inputs.images import Series, extract
from thalgpu.engine.inputs.model import Region, Run, Subject, SubjectSeries
from thalgpu.engine.inputs.smoothing import smooth
from thalgpu.errors import InputError

_SAME_TR = 1e-4
"""Seconds."""

_VOLUMES = 64
"""Volumes averaged at a time in float64."""


@dataclass(frozen=True)
class _CleanRun:
    """One run after cleaning, and what goes into the record."""

    seed: Series
    target: Series
    seed_covered: NDArray[np.bool_]
    target_covered: NDArray[np.bool_]
    tr: float
    n_volumes: int
    sha256: dict[Path, str]
    displacement: NDArray[np.float64] | None


def load_series(
    subject: Subject, thalamus: Region, cortex: Region, cleaning: CleaningOptions, *, min_coverage: float
) -> SubjectSeries:
    """Read and clean every run of a subject, and join them in time.

    Each run is smoothed inside each region, averaged over parcels, cleaned in one projection, and scaled to mean 0 and
    SD 1 for each voxel and target; joined runs therefore count by their lengths and not by their scanners' gains.

    Parameters
    ----------
    subject : runs in order.
    thalamus, cortex : regions on the grid of the runs; a parcellation's units are the means of its covered elements.
    cleaning : options of the projection and of smoothing.
    min_coverage : least fraction of units that must be covered in each region, and of elements in a parcel.

    Returns
    -------
    SubjectSeries
        Finite everywhere. A unit is covered when its signal is finite and varies in every run before cleaning, and
        something of it is left after.

    Raises
    ------
    InputError
        For unsound files, grids or repetition times that differ, too few covered units, and too few volumes.
    """
    runs = [_clean_run(run, thalamus, cortex, cleaning, min_coverage) for run in subject.runs]
    _require_one_tr(subject, [run.tr for run in runs])
    seed, seed_covered = _joined([run.seed for run in runs], [run.seed_covered for run in runs])
    target, target_covered = _joined([run.target for run in runs], [run.target_covered for run in runs])
    _require_coverage(subject, "thalamic voxels", seed_covered, thalamus, min_coverage)
    _require_coverage(subject, "targets", target_covered, cortex, min_coverage)
    return SubjectSeries(
        seed=seed,
        target=target,
        seed_covered=seed_covered,
        target_covered=target_covered,
        tr=runs[0].tr,
        n_volumes=sum(run.n_volumes for run in runs),
        n_kept=len(seed),
        sha256={path: digest for run in runs for path, digest in run.sha256.items()},
        mean_fd=_mean_displacement([run.displacement for run in runs]),
    )


def _clean_run(run: Run, thalamus: Region, cortex: Region, cleaning: CleaningOptions, min_coverage: float) -> _CleanRun:
    _require_voxels_to_smooth(run, (thalamus, cortex), cleaning)
    images = extract(run, (thalamus, cortex))
    tr = repetition_time(run.bold, images.tr, cleaning.tr)
    table = None if run.confounds is None else read_confounds(run.confounds)
    displacement = _displacement(run, table, cleaning)
    projection = make_projection(
        run.bold,
        images.n_volumes,
        tr,
        cleaning,
        confounds=_regressors(run, table, images.n_volumes, cleaning),
        displacement=displacement,
        censored=run.censored,
    )
    seed, seed_covered = _clean_region(images.series[0], thalamus, projection, cleaning, min_coverage)
    target, target_covered = _clean_region(images.series[1], cortex, projection, cleaning, min_coverage)
    sha256 = images.sha256 if table is None else {**images.sha256, table.path: table.sha256}
    return _CleanRun(seed, target, seed_covered, target_covered, tr, images.n_volumes, sha256, displacement)


def _require_voxels_to_smooth(run: Run, regions: tuple[Region, ...], cleaning: CleaningOptions) -> None:
    for region in regions:
        if cleaning.fwhm > 0 and region.xyz is None:
            raise InputError(
                run.bold,
                f"the region {region.source} has elements that are not voxels and cannot be smoothed here",
                remedy="leave out --fwhm and smooth before, with wb_command -cifti-smoothing or -metric-smoothing",
            )


def _regressors(
    run: Run, table: ConfoundsTable | None, n_volumes: int, cleaning: CleaningOptions
) -> NDArray[np.float64] | None:
    """The run's nuisance regressors; its table must have a row a volume even when only its displacement is used."""
    if table is not None and len(table.rows) != n_volumes and not (run.censored and cleaning.confounds == "none"):
        raise InputError(
            table.path,
            f"{len(table.rows)} rows where {run.bold.name} has {n_volumes} volumes",
            remedy="give the confounds of this very run",
        )
    if cleaning.confounds == "none":
        return None
    if table is None:
        raise InputError(
            run.bold,
            "no confounds table belongs to this scan",
            remedy="name it in the column confounds of the subject list, or use --confounds none",
        )
    return confound_regressors(table, cleaning.confounds)


def _displacement(run: Run, table: ConfoundsTable | None, cleaning: CleaningOptions) -> NDArray[np.float64] | None:
    """The run's framewise displacement, or None when it is unknown and not needed."""
    found = None if table is None else framewise_displacement(table)
    if found is None and cleaning.scrub_fd is not None:
        raise InputError(
            run.bold if table is None else table.path,
            "scrubbing needs the framewise displacement, which is unknown",
            remedy="give a confounds table with a column framewise_displacement, or leave out --scrub-fd",
        )
    return found


def _clean_region(
    series: Series, region: Region, projection: Projection, cleaning: CleaningOptions, min_coverage: float
) -> tuple[Series, NDArray[np.bool_]]:
    """(n_kept, n_units) series of mean 0 and SD 1, all zero where not covered, and (n_units,) whether covered."""
    if not projection.kept.all():
        series = series[projection.kept]
    lowest, highest = series.min(axis=0), series.max(axis=0)  # NaN where any value is
    covered = np.isfinite(lowest) & np.isfinite(highest) & (highest > lowest)
    series[:, ~covered] = 0
    if cleaning.fwhm > 0 and region.xyz is not None and covered.any():
        series[:, covered] = smooth(series[:, covered], region.xyz[covered], cleaning.fwhm)
    if region.parcel is not None:
        series, covered = _parcel_means(series, covered, region.parcel, region.n_units, min_coverage)
    residual, sd = clean(series, projection)
    covered &= sd > 0
    residual /= np.where(covered, sd, 1).astype(np.float64)
    residual[:, ~covered] = 0
    return residual, covered


def _parcel_means(
    series: Series, covered: NDArray[np.bool_], parcel: NDArray[np.int32], n_parcels: int, min_coverage: float
) -> tuple[Series, NDArray[np.bool_]]:
    """Means over each parcel's covered elements; a parcel with too few of them is not covered."""
    n_elements = np.bincount(parcel, minlength=n_parcels)
    n_covered = np.bincount(parcel[covered], minlength=n_parcels)
    enough = (n_covered > 0) & (n_covered >= min_coverage * n_elements)
    used = np.flatnonzero(covered & enough[parcel])
    share = 1.0 / n_covered[parcel[used]]
    average = csr_array((share, (parcel[used], used)), shape=(n_parcels, series.shape[1]))
    means = np.empty((len(series), n_parcels), np.float32)
    for start in range(0, len(series), _VOLUMES):
        means[start : start + _VOLUMES] = (average @ series[start : start + _VOLUMES].T.astype(np.float64)).T
    return means, enough


def _joined(series: list[Series], covered: list[NDArray[np.bool_]]) -> tuple[Series, NDArray[np.bool_]]:
    everywhere = np.logical_and.reduce(covered)
    joined = series[0] if len(series) == 1 else np.concatenate(series)
    joined[:, ~everywhere] = 0
    return joined, everywhere


def _require_one_tr(subject: Subject, found: list[float]) -> None:
    for run, tr in zip(subject.runs, found, strict=True):
        if abs(tr - found[0]) > _SAME_TR:
            raise InputError(
                run.bold,
                f"its repetition time of {tr:g} s differs from {found[0]:g} s of {subject.runs[0].bold.name}",
                remedy="list the scans as separate subjects, or give the true one with --tr",
            )


def _require_coverage(
    subject: Subject, what: str, covered: NDArray[np.bool_], region: Region, min_coverage: float
) -> None:
    n_covered, n = int(covered.sum()), len(covered)
    if n_covered == 0 or n_covered < min_coverage * n:
        raise InputError(
            subject.runs[0].bold,
            f"only {n_covered} of {n} {what} of {region.source} have a signal that varies "
            f"({n_covered / n if n else 0:.0%}; {min_coverage:.0%} are needed)",
            remedy="check field of view and registration, or lower --min-coverage",
        )


def _mean_displacement(runs: list[NDArray[np.float64] | None]) -> float | None:
    """Mean over all volumes but the first of each run, which has none; None unless every run has it."""
    known = [displacement for displacement in runs if displacement is not None and len(displacement) > 1]
    if len(known) < len(runs):
        return None
    return float(sum(run.sum() for run in known) / sum(len(run) - 1 for run in known))
