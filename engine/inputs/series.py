"""From a subject's files and some regions to cleaned, joined time series."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from thalgpu.engine.config import CleaningOptions
from thalgpu.engine.inputs.cleaning import Projection, clean, make_projection
from thalgpu.engine.inputs.coverage import Gaps, find_gaps, require_coverage
from thalgpu.engine.inputs.headers import repetition_time
from thalgpu.engine.inputs.images import Series, extract
from thalgpu.engine.inputs.model import Region, Run, Subject, SubjectSeries
from thalgpu.engine.inputs.nuisance import read_nuisance
from thalgpu.errors import InputError

_SAME_TR = 1e-4
"""Seconds."""

_VOLUMES = 64
"""Volumes averaged at a time in float64."""


@dataclass(frozen=True)
class RegionSeries:
    """A region's cleaned series.

    Attributes
    ----------
    series : (n_kept, n_units) float32 of mean 0 and SD 1, zero where not covered.
    covered : (n_units,) bool.
    gaps : why elements are not finite, of each run.
    """

    series: Series
    covered: NDArray[np.bool_]
    gaps: tuple[Gaps | None, ...]


@dataclass(frozen=True)
class LoadedSubject:
    """What is read of a subject, cleaned and joined.

    Attributes
    ----------
    regions : one a region, in order.
    tr, n_volumes, sha256, mean_fd : as of `SubjectSeries`.
    """

    regions: tuple[RegionSeries, ...]
    tr: float | None
    n_volumes: int
    sha256: dict[Path, str]
    mean_fd: float | None


@dataclass(frozen=True)
class _CleanRun:
    """One run after cleaning, and what goes into the record."""

    regions: tuple[RegionSeries, ...]
    tr: float | None
    n_volumes: int
    sha256: dict[Path, str]
    displacement: NDArray[np.float64] | None


def load_series(
    subject: Subject, thalamus: Region, cortex: Region, cleaning: CleaningOptions, *, min_coverage: float
) -> SubjectSeries:
    """The series of the thalamus and of the targets, see `load_regions`; InputError too for too few covered units."""
    loaded = load_regions(subject, (thalamus, cortex), cleaning, min_coverage=min_coverage)
    seed, target = loaded.regions
    for what, region, found in (("thalamic voxels", thalamus, seed), ("targets", cortex, target)):
        require_coverage(subject.runs[0].bold, what, found.covered, min_coverage, source=region.source, gaps=found.gaps)
    return SubjectSeries(
        seed=seed.series,
        target=target.series,
        seed_covered=seed.covered,
        target_covered=target.covered,
        tr=loaded.tr,
        n_volumes=loaded.n_volumes,
        n_kept=len(seed.series),
        sha256=loaded.sha256,
        mean_fd=loaded.mean_fd,
    )


def load_regions(
    subject: Subject, regions: Sequence[Region], cleaning: CleaningOptions, *, min_coverage: float
) -> LoadedSubject:
    """Read and clean every run of a subject, and join them in time.

    Each run is smoothed inside each region, averaged over parcels, cleaned in one projection, and scaled to mean 0 and
    SD 1 for each unit; joined runs therefore count by their lengths and not by their scanners' gains.

    Parameters
    ----------
    subject : runs in order.
    regions : on the grids of the runs; a parcellation's units are the means of its covered elements.
    cleaning : options of the projection and of smoothing.
    min_coverage : least fraction of a parcel's elements that must be covered.

    Returns
    -------
    LoadedSubject
        Finite everywhere. A unit is covered when its signal is finite and varies in every run before cleaning, and
        something of it is left after.

    Raises
    ------
    InputError
        For unsound files, grids or repetition times that differ, and too few volumes.

    Notes
    -----
    The repetition time may be missing where no filter needs it, and the confounds table may be absent or unusable where
    neither confounds nor scrubbing need it: `tr` or `mean_fd` is then None.
    """
    runs = [_clean_run(run, regions, cleaning, min_coverage) for run in subject.runs]
    tr = _one_tr(subject, [run.tr for run in runs])
    return LoadedSubject(
        regions=tuple(_joined([run.regions[number] for run in runs]) for number in range(len(regions))),
        tr=tr,
        n_volumes=sum(run.n_volumes for run in runs),
        sha256={path: digest for run in runs for path, digest in run.sha256.items()},
        mean_fd=_mean_displacement([run.displacement for run in runs]),
    )


def _clean_run(run: Run, regions: Sequence[Region], cleaning: CleaningOptions, min_coverage: float) -> _CleanRun:
    _require_voxels_to_smooth(run, regions, cleaning)
    images = extract(run, regions)
    filtered = cleaning.high_pass is not None or cleaning.low_pass is not None
    tr = repetition_time(run.bold, images.tr, cleaning.tr, needed=filtered)
    nuisance = read_nuisance(run, images.n_volumes, cleaning)
    projection = make_projection(
        run.bold,
        images.n_volumes,
        tr,
        cleaning,
        confounds=nuisance.regressors,
        displacement=nuisance.displacement,
        censored=run.censored,
    )
    clean_regions = tuple(
        _clean_region(run, series, region, projection, cleaning, min_coverage)
        for series, region in zip(images.series, regions, strict=True)
    )
    return _CleanRun(clean_regions, tr, images.n_volumes, images.sha256 | nuisance.sha256, nuisance.displacement)


def _require_voxels_to_smooth(run: Run, regions: Sequence[Region], cleaning: CleaningOptions) -> None:
    for region in regions:
        if cleaning.fwhm > 0 and region.xyz is None:
            raise InputError(
                run.bold,
                f"the region {region.source} has elements that are not voxels and cannot be smoothed here",
                remedy="leave out --fwhm and smooth before, with wb_command -cifti-smoothing or -metric-smoothing",
            )


def _clean_region(
    run: Run, series: Series, region: Region, projection: Projection, cleaning: CleaningOptions, min_coverage: float
) -> RegionSeries:
    if not projection.kept.all():
        series = series[projection.kept]
    lowest, highest = series.min(axis=0), series.max(axis=0)  # NaN where any value is
    finite = np.isfinite(lowest) & np.isfinite(highest)
    gaps = find_gaps(run.bold, series, finite, projection.kept)
    covered = finite & (highest > lowest)
    series[:, ~covered] = 0
    if cleaning.fwhm > 0 and region.xyz is not None and covered.any():
        from thalgpu.engine.inputs.smoothing import smooth  # loads scipy.spatial, for which other workers need not wait

        series[:, covered] = smooth(series[:, covered], region.xyz[covered], cleaning.fwhm)
    if region.parcel is not None:
        series, covered = _parcel_means(series, covered, region.parcel, region.n_units, min_coverage)
    residual, sd = clean(series, projection)
    covered &= sd > 0
    residual /= np.where(covered, sd, 1).astype(np.float64)
    residual[:, ~covered] = 0
    return RegionSeries(residual, covered, (gaps,))


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


def _joined(runs: list[RegionSeries]) -> RegionSeries:
    everywhere = np.logical_and.reduce([run.covered for run in runs])
    joined = runs[0].series if len(runs) == 1 else np.concatenate([run.series for run in runs])
    joined[:, ~everywhere] = 0
    return RegionSeries(joined, everywhere, tuple(gaps for run in runs for gaps in run.gaps))


def _one_tr(subject: Subject, found: list[float | None]) -> float | None:
    """The repetition time of all runs, None where one has none; InputError when they differ."""
    known = [(run.bold, tr) for run, tr in zip(subject.runs, found, strict=True) if tr is not None]
    for bold, tr in known:
        if abs(tr - known[0][1]) > _SAME_TR:
            raise InputError(
                bold,
                f"its repetition time of {tr:g} s differs from {known[0][1]:g} s of {known[0][0].name}",
                remedy="list the scans as separate subjects, or give the true one with --tr",
            )
    return None if None in found else known[0][1]


def _mean_displacement(runs: list[NDArray[np.float64] | None]) -> float | None:
    """Mean over all volumes but the first of each run, which has none; None unless every run has it."""
    known = [displacement for displacement in runs if displacement is not None and len(displacement) > 1]
    if len(known) < len(runs):
        return None
    return float(sum(run.sum() for run in known) / sum(len(run) - 1 for run in known))
