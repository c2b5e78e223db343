"""From the records of a connectivity run to its report page."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thalgpu import __version__
from thalgpu.engine.outputs.atomic import write_text
from thalgpu.engine.pipelines.connectivity_folder import resolved_options
from thalgpu.engine.pipelines.connectivity_prepare import ConnectivityPrepared, ConnectivityRequest
from thalgpu.engine.pipelines.connectivity_seeds import parse_seed
from thalgpu.engine.pipelines.connectivity_stage import (
    ConnectivityRecord,
    ConnectivityTask,
    read_regions,
    read_z,
)
from thalgpu.engine.report.connectivity import ConnectivityPage, MeanMap, render_connectivity


@dataclass(frozen=True)
class _Group:
    """Means over the subjects with a signal.

    Attributes
    ----------
    maps : (n_seeds, n_targets) mean Fisher z; 0 where nobody has a signal.
    regions : (n_regions, n_regions); NaN where nobody has one.
    likeness : (n_subjects,) correlation of each one's map of the first seed with the mean of all others'; NaN if none.
    """

    maps: NDArray[np.float64]
    regions: NDArray[np.float64]
    likeness: NDArray[np.float64]


def write_report(
    request: ConnectivityRequest,
    prepared: ConnectivityPrepared,
    finished: Sequence[ConnectivityTask],
    records: Sequence[ConnectivityRecord],
    failures: dict[str, Exception],
    warnings: Sequence[str],
) -> None:
    """`report.html` of this run."""
    group = _group(finished)
    n_seeds, has_parcels = len(prepared.seeds.names), prepared.plan.n_parcels > 0
    page = ConnectivityPage(
        version=__version__,
        facts=(
            ("subjects", f"{len(records)} finished, {len(failures)} failed"),
            ("seeds", ", ".join(prepared.seeds.names)),
            ("thalamus", f"{len(prepared.thalamus.flat)} voxels ({prepared.thalamus.source})"),
            ("targets", f"{prepared.plan.n_targets} ({prepared.cortex.source})"),
            ("pairs of regions", f"{len(prepared.pairs)} without a common element"),
            ("list", str(request.subjects)),
        ),
        options=tuple((name, _text(value)) for name, value in resolved_options(request, prepared).items()),
        maps=_mean_maps(request, prepared, group),
        rows=prepared.seeds.names,
        columns=prepared.regions[n_seeds:] if has_parcels else prepared.seeds.names,
        matrix=_apart(prepared, group.regions)[:n_seeds, n_seeds if has_parcels else 0 :],
        table_columns=("subject", "targets", "volumes", "mean FD (mm)", "r(others)"),
        table=tuple(_row(record, r) for record, r in zip(records, group.likeness, strict=True)),
        likeness=group.likeness,
        failures=tuple((f"sub-{participant_id}", str(error)) for participant_id, error in failures.items()),
        warnings=tuple(warnings),
    )
    write_text(request.out / "report.html", render_connectivity(page))


def _group(finished: Sequence[ConnectivityTask]) -> _Group:
    """Means, one subject in memory at a time."""
    z, covered = read_z(finished[0])
    matrix, with_signal = read_regions(finished[0])
    sums, n_maps = np.zeros(z.shape), np.zeros(len(covered))
    region_sums, n_pairs = np.zeros(matrix.shape), np.zeros(matrix.shape)
    for task in finished:
        z, covered = read_z(task)
        matrix, with_signal = read_regions(task)
        sums, n_maps = sums + z, n_maps + covered
        region_sums, n_pairs = region_sums + matrix, n_pairs + np.outer(with_signal, with_signal)
    likeness = np.array([_likeness(*read_z(task), sums[0], n_maps) for task in finished])
    means = np.divide(region_sums, n_pairs, out=np.full(matrix.shape, np.nan), where=n_pairs > 0)
    return _Group(sums / np.maximum(n_maps, 1), means, likeness)


def _likeness(
    z: NDArray[np.float32], covered: NDArray[np.bool_], total: NDArray[np.float64], n_maps: NDArray[np.float64]
) -> float:
    """Correlation of one subject's first map with the mean of the others', over targets that both have."""
    shared = covered & (n_maps > 1)
    if shared.sum() < 3:
        return float("nan")
    own = z[0, shared].astype(np.float64)
    others = (total[shared] - own) / (n_maps[shared] - 1)
    if not own.std() or not others.std():
        return float("nan")
    return float(np.corrcoef(own, others)[0, 1])


def _mean_maps(request: ConnectivityRequest, prepared: ConnectivityPrepared, group: _Group) -> tuple[MeanMap, ...]:
    """The maps of the thalamus and of the seeds that the user named, where targets are voxels."""
    if prepared.cortex.parcel is not None or prepared.cortex.ijk is None:
        return ()
    shown = ["thalamus", *(parse_seed(text)[0] for text in request.seed)]
    return tuple(MeanMap(name, group.maps[prepared.seeds.names.index(name)], prepared.cortex) for name in shown)


def _apart(prepared: ConnectivityPrepared, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """NaN for regions that share an element."""
    shown = np.full_like(matrix, np.nan)
    first, second = prepared.pairs.T
    shown[first, second] = matrix[first, second]
    shown[second, first] = matrix[second, first]
    return shown


def _row(record: ConnectivityRecord, likeness: float) -> tuple[str, ...]:
    return (
        f"sub-{record.participant_id}",
        f"{record.n_targets_covered}/{record.n_targets}",
        f"{record.n_kept}/{record.n_volumes}",
        "–" if record.mean_fd is None else f"{record.mean_fd:.2f}",
        "–" if np.isnan(likeness) else f"{likeness:.3f}",
    )


def _text(value: object) -> str:
    return ", ".join(map(str, value)) or "nothing" if isinstance(value, list) else f"{value}"
