"""The kinds of template that are made from the subjects themselves, each from their records."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.cluster.executor import Workers
from thalgpu.engine.config import GradientOptions
from thalgpu.engine.gradients.affinity import compute_affinity
from thalgpu.engine.gradients.alignment import generalised_reference
from thalgpu.engine.gradients.subject import embed_with
from thalgpu.engine.outputs.names import subject_paths
from thalgpu.engine.outputs.packing import pack_upper, unpack_upper
from thalgpu.engine.outputs.store import DatasetSpec, read_record
from thalgpu.engine.pipelines.parts import Part
from thalgpu.engine.pipelines.subject_stage import scatter
from thalgpu.engine.pipelines.template_sums import Coverage, Summand, sum_subjects
from thalgpu.engine.results import SubjectRecord
from thalgpu.errors import NumericsError, ThalgpuWarning


@dataclass(frozen=True)
class Estimate:
    """A template as it was estimated.

    Attributes
    ----------
    gradients : (n_voxels, n_components) float32; zero where `covered` is False.
    covered : (n_voxels,) bool.
    lambdas, explained : (n_components,) float64; empty where there is no spectrum.
    affinity : (n_voxels, n_voxels) float64 that was embedded, or None.
    """

    gradients: NDArray[np.float32]
    covered: NDArray[np.bool_]
    lambdas: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    explained: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    affinity: NDArray[np.float64] | None = None


def pooled(
    out: Path, part: Part, records: Sequence[SubjectRecord], options: GradientOptions, workers: Workers | None
) -> Estimate:
    """Gradients of the mean affinity, or with "pooled-connectivity" of the affinity of the mean connectivity.

    Parameters
    ----------
    records : in the order of their ids.
    workers : who adds up; None for this process.
    """
    if options.template == "pooled":
        affinity, covered = _mean_affinity(out, part, records, workers)
    else:
        affinity, covered = _affinity_of_mean_connectivity(out, part, records, options, workers)
    inside = affinity if covered.all() else affinity[np.ix_(covered, covered)]
    embedding = embed_with(options, inside, **part.voxel_places(covered))
    return Estimate(
        scatter(embedding.gradients, covered), covered, embedding.lambdas, embedding.explained, affinity=affinity
    )


def generalised(out: Path, part: Part, records: Sequence[SubjectRecord], options: GradientOptions) -> Estimate:
    """Mean of the gradients after generalised Procrustes, over the voxels that all subjects share.

    Every round needs every subject, so all gradients are held, n_subjects × n_voxels × n_components float32, and one
    process goes through them in the order of the ids: there is no tree of sums here.
    """
    shape = (part.n_voxels, options.n_components)
    gradients = np.empty((len(records), *shape), dtype=np.float32)
    shared = np.ones(part.n_voxels, dtype=bool)
    for row, record in enumerate(records):
        path = subject_paths(out, record.participant_id, part.hemisphere).record
        expected = {"gradients": DatasetSpec("float32", shape), "covered": DatasetSpec("uint8", shape[:1])}
        stored = read_record(path, expected).datasets
        gradients[row] = stored["gradients"]
        shared &= stored["covered"].astype(bool)
    n_shared = int(shared.sum())
    if n_shared <= options.n_components:
        raise NumericsError("too few voxels have a signal in every subject", remedy="use --template pooled")
    if n_shared < len(shared):
        for one in gradients:  # in place: a second copy of everybody's may not fit
            one[:n_shared] = one[shared]
    reference, _ = generalised_reference(list(gradients[:, :n_shared]), n_align=options.n_align)
    return Estimate(scatter(reference, shared), shared)


def _mean_affinity(
    out: Path, part: Part, records: Sequence[SubjectRecord], workers: Workers | None
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Mean over the subjects in which both voxels have a signal."""
    n = part.n_voxels
    summand = Summand("affinity", (n * (n + 1) // 2,), n)
    sums, coverage = sum_subjects(out, _paths(out, part, records), summand, workers)
    pairs = pack_upper(coverage.pairs())
    mean = np.divide(sums.total, pairs, out=sums.total, where=pairs > 0)
    return unpack_upper(mean, n), _covered_by_half(coverage)


def _affinity_of_mean_connectivity(
    out: Path, part: Part, records: Sequence[SubjectRecord], options: GradientOptions, workers: Workers | None
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Affinity of the mean connectivity: each entry's mean over the subjects in which it was measured."""
    n = part.n_voxels
    summand = Summand("connectivity", (n, len(part.targets)), n, counted=True)
    sums, coverage = sum_subjects(out, _paths(out, part, records), summand, workers)
    assert sums.measured is not None
    covered = _covered_by_half(coverage)
    mean = np.divide(sums.total, sums.measured, out=sums.total, where=sums.measured > 0)[covered]
    affinity = np.zeros((n, n))
    affinity[np.ix_(covered, covered)] = compute_affinity(mean, kernel=options.kernel, sparsity=options.sparsity)
    return affinity, covered


def _paths(out: Path, part: Part, records: Sequence[SubjectRecord]) -> list[tuple[Path, str]]:
    return [(subject_paths(out, one.participant_id, part.hemisphere).record, one.key) for one in records]


def _covered_by_half(coverage: Coverage) -> NDArray[np.bool_]:
    covered: NDArray[np.bool_] = 2 * coverage.having >= coverage.n_subjects
    if not covered.all():
        missing = int((~covered).sum())
        warnings.warn(
            ThalgpuWarning(f"{missing} of {len(covered)} voxels have a signal in fewer than half of the subjects"),
            stacklevel=2,
        )
    return covered
