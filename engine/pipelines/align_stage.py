"""The task that brings one subject onto the template: maps, sidecar, and the aligned record last."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from thalgpu.engine.config import CleaningOptions, GradientOptions, config_key
from thalgpu.engine.gradients.alignment import procrustes
from thalgpu.engine.gradients.trend_surface import fit_trend_surface
from thalgpu.engine.inputs.region_parts import region_key, source_name
from thalgpu.engine.outputs.atomic import file_sha256
from thalgpu.engine.outputs.images import write_maps
from thalgpu.engine.outputs.names import SubjectPaths, subject_paths
from thalgpu.engine.outputs.sidecars import write_sidecar
from thalgpu.engine.outputs.store import DatasetSpec, read_attributes, read_record, write_record
from thalgpu.engine.pipelines.group_stage import Template, component_names
from thalgpu.engine.pipelines.ledger import Ledger, Stamp, stamps
from thalgpu.engine.pipelines.nuclei import Nuclei
from thalgpu.engine.pipelines.parts import Part
from thalgpu.engine.pipelines.subject_stage import RESULT_VERSION, subject_config
from thalgpu.engine.pipelines.verified import find_verified
from thalgpu.engine.results import SubjectRecord
from thalgpu.errors import NumericsError

Scalars = dict[str, float | int | None]


@dataclass(frozen=True)
class AlignTask:
    """One finished subject and the template it is brought onto."""

    record: SubjectRecord
    part: Part
    template: Template
    nuclei: Nuclei | None
    cleaning: CleaningOptions
    options: GradientOptions
    out: Path


@dataclass(frozen=True)
class AlignedSubject:
    """What is told of an aligned subject.

    Attributes
    ----------
    record : the subject's own record.
    summary : scalar columns of `group/summary.tsv`, in order.
    trend : trend-surface coefficients by name, in order; empty when there is no such model.
    files : the maps, the sidecar and the aligned record.
    stamps : of the files, as they were written; none where they were found.
    skipped : True when everything was found on disk and verified.
    """

    record: SubjectRecord
    summary: Scalars
    trend: Scalars
    files: tuple[Path, ...]
    stamps: tuple[Stamp, ...]
    skipped: bool = False


def find_aligned(task: AlignTask, ledger: Ledger) -> AlignedSubject | None:
    """What is told of a subject whose aligned record and maps are on disk and verified; None where they are not."""
    path = _paths(task).aligned
    told = find_verified(ledger, path, _key(task), _tell)
    if told is None:
        return None
    files = (*(path.with_name(name) for name in told["files"]), path)
    return AlignedSubject(task.record, dict(told["summary"]), dict(told["trend"]), files, (), skipped=True)


def _tell(about: dict[str, Any]) -> dict[str, Any]:
    return {"summary": about["summary"], "trend": about["trend"], "files": list(about["files"])}


def note_aligned(task: AlignTask, one: AlignedSubject, ledger: Ledger) -> None:
    """Have a subject remembered that was written."""
    names = [path.name for path in one.files]
    told = {"summary": list(one.summary.items()), "trend": list(one.trend.items()), "files": names[:-1]}
    ledger.note(one.files[-1], _key(task), dict(zip(names, one.stamps, strict=True)), told)


def run_align(task: AlignTask) -> AlignedSubject:
    """Align one subject and write its outputs; the record comes last, so that it vouches for the maps."""
    options, paths = task.options, _paths(task)
    with threadpool_limits(1):
        stored = _read_subject(task, paths)
        covered = stored["covered"].astype(bool)
        aligned, rotation = _align(task, stored["gradients"], covered)
        datasets: dict[str, NDArray[Any]] = {"aligned": aligned, "rotation": rotation, "covered": stored["covered"]}
        trend = _fit_trends(task, aligned, covered, datasets)
        if "projections" in options.keep:
            datasets["projections"] = _rotate_projections(stored, aligned, rotation, covered)
    summary = _summary(task, aligned, covered)
    written = _write_maps(task, paths, datasets, stored)
    attributes = {
        "participant_id": task.record.participant_id,
        "template": task.template.key,
        "n_align": options.n_align,
        "summary": list(summary.items()),  # a list keeps the columns' order
        "trend": list(trend.items()),
        "files": {path.name: file_sha256(path) for path in written},
    }
    write_record(paths.aligned, datasets, attributes, key=_key(task))
    files = (*written, paths.aligned)
    return AlignedSubject(task.record, summary, trend, files, tuple(stamps(files)))


def _paths(task: AlignTask) -> SubjectPaths:
    part = task.part
    return subject_paths(
        task.out, task.record.participant_id, part.hemisphere, part.thalamus.grid, target_grid=part.cortex.grid
    )


def _key(task: AlignTask) -> str:
    """The identity of the aligned record: subject, template, and how they are brought together."""
    options = task.options
    how = [options.alignment, options.n_align, options.trend_surface, task.nuclei.key if task.nuclei else None]
    return config_key(RESULT_VERSION, task.record.key, task.template.key, how)


def _read_subject(task: AlignTask, paths: SubjectPaths) -> dict[str, NDArray[Any]]:
    n, k = task.part.n_voxels, task.options.n_components
    expected = {
        "gradients": DatasetSpec("float32", (n, k)),
        "covered": DatasetSpec("uint8", (n,)),
        "explained": DatasetSpec("float64", (k,)),
    }
    if "projections" in task.options.keep:
        expected["projections"] = DatasetSpec("float32", (len(task.part.targets), k))
    return read_record(paths.record, expected).datasets


def _align(
    task: AlignTask, gradients: NDArray[np.float32], covered: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Gradients brought onto the template, and the rotation that does it; the identity with `--alignment none`."""
    if task.options.alignment == "none":
        return gradients, np.eye(gradients.shape[1])
    shared = covered & task.template.covered
    if shared.sum() <= task.options.n_align:
        raise NumericsError(
            f"{shared.sum()} voxels are shared with the template, too few to align {task.options.n_align} components"
        )
    result = procrustes(gradients, task.template.gradients, n_align=task.options.n_align, covered=shared)
    aligned = np.where(covered[:, None], gradients.astype(np.float64) @ result.rotation, 0)
    return aligned.astype(np.float32), result.rotation


def _fit_trends(
    task: AlignTask, aligned: NDArray[np.float32], covered: NDArray[np.bool_], datasets: dict[str, NDArray[Any]]
) -> Scalars:
    """Trend-surface coefficients of every component; also put among the datasets, with their SD."""
    order, xyz = task.options.trend_surface, task.part.thalamus.xyz
    if order == 0:
        return {}
    if xyz is None:
        raise NumericsError("a trend surface needs a thalamus made of voxels", remedy="leave out --trend-surface")
    fits = [fit_trend_surface(component[covered], xyz[covered], order) for component in aligned.T]
    datasets["trend_coefficients"] = np.array([fit.coefficients for fit in fits])
    datasets["trend_sd"] = np.array([fit.sd for fit in fits])
    names = [f"{axis}{power}" for power in range(1, order + 1) for axis in "xyz"]
    trend: Scalars = {}
    for component, fit in zip(component_names(len(fits)), fits, strict=True):
        trend |= {f"{component}_{name}": float(value) for name, value in zip(names, fit.coefficients, strict=True)}
        trend[f"{component}_explained"] = float(fit.explained_variance)
    return trend


def _rotate_projections(
    stored: dict[str, NDArray[Any]],
    aligned: NDArray[np.float32],
    rotation: NDArray[np.float64],
    covered: NDArray[np.bool_],
) -> NDArray[np.float32]:
    """Correlation of each target's fingerprint with the aligned gradients.

    Covariances rotate as the gradients do, so that corr(c, G R) = corr(c, G) diag(sd G) R / sd(G R).
    """
    before = stored["gradients"][covered].std(axis=0, dtype=np.float64)
    after = aligned[covered].std(axis=0, dtype=np.float64)
    rotated = (stored["projections"].astype(np.float64) * before) @ rotation
    correlations: NDArray[np.float64] = np.divide(rotated, after, out=np.zeros_like(rotated), where=after > 0)
    return correlations.astype(np.float32)


def _write_maps(
    task: AlignTask, paths: SubjectPaths, datasets: dict[str, NDArray[Any]], stored: dict[str, NDArray[Any]]
) -> tuple[Path, ...]:
    """Images and sidecar of one subject; the paths written."""
    names = component_names(task.options.n_components)
    written = [*write_maps(paths.maps, datasets["aligned"], task.part.thalamus, names)]
    if "projections" in datasets:
        written += write_maps(paths.projections, datasets["projections"], task.part.cortex, names)
    own = read_attributes(paths.record)
    part = task.part
    write_sidecar(
        paths.sidecar,
        {
            "Description": "Connectivity gradients of the thalamus, aligned to the template",
            "Eigenvalues": task.record.lambdas.tolist(),
            "ExplainedVariance": stored["explained"].tolist(),
            "Options": subject_config(task.options, task.cleaning),
            "Alignment": {"Method": task.options.alignment, "Components": task.options.n_align},
            "TemplateKey": task.template.key,
            "Device": own["device"],
            "Inputs": own["inputs"],
            "Thalamus": {"Source": source_name(part.thalamus), "Key": region_key(part.thalamus)},
            "Targets": {"Source": source_name(part.cortex), "Key": region_key(part.cortex)},
            "VolumesKept": task.record.n_kept,
            "VoxelsWithSignal": task.record.n_covered,
            "Warnings": list(task.record.warnings),
        },
    )
    return (*written, paths.sidecar)


def _summary(task: AlignTask, aligned: NDArray[np.float32], covered: NDArray[np.bool_]) -> Scalars:
    """Scalars of one subject: sizes, eigenvalues, and per component range, variance, r with the template, nuclei."""
    record, template = task.record, task.template
    row: Scalars = {
        "n_voxels": record.n_voxels,
        "n_covered": record.n_covered,
        "n_volumes": record.n_volumes,
        "n_kept": record.n_kept,
        "mean_fd": record.mean_fd,
    }
    shared = covered & template.covered
    for number, name in enumerate(component_names(aligned.shape[1])):
        values = aligned[:, number].astype(np.float64)
        row[f"{name}_lambda"] = float(record.lambdas[number])
        row[f"{name}_range"] = float(np.ptp(values[covered]))
        row[f"{name}_variance"] = float(values[covered].var())
        row[f"{name}_r_template"] = _correlation(values[shared], template.gradients[shared, number].astype(np.float64))
        if task.nuclei is not None:
            row |= {f"{name}_nucleus_{label}": mean for label, mean in task.nuclei.means(values, covered).items()}
    return row


def _correlation(a: NDArray[np.float64], b: NDArray[np.float64]) -> float | None:
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale > 0 else None
