"""The template: gradients of all subjects together, streamed from their records in the order of their ids."""

import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from thalgpu.engine.config import GradientOptions, config_key
from thalgpu.engine.gradients.affinity import compute_affinity
from thalgpu.engine.gradients.alignment import generalised_procrustes, mirror_correspondence, procrustes
from thalgpu.engine.gradients.subject import embed_with
from thalgpu.engine.outputs.atomic import file_sha256
from thalgpu.engine.outputs.images import read_maps, write_maps
from thalgpu.engine.outputs.names import group_paths, subject_paths
from thalgpu.engine.outputs.packing import pack_upper, unpack_upper
from thalgpu.engine.outputs.sidecars import write_sidecar
from thalgpu.engine.outputs.store import DatasetSpec, is_done, read_attributes, read_record, write_record
from thalgpu.engine.pipelines.input_hashes import input_sha256
from thalgpu.engine.pipelines.parts import Part
from thalgpu.engine.pipelines.remarks import collect_remarks
from thalgpu.engine.pipelines.subject_stage import RESULT_VERSION, scatter
from thalgpu.engine.pipelines.verified import files_match
from thalgpu.engine.results import SubjectRecord
from thalgpu.errors import NumericsError, ThalgpuWarning, UsageError

POOLS = ("pooled", "pooled-connectivity", "generalised")
"""Templates made from the subjects themselves; any other value of `--template` is a file."""


@dataclass(frozen=True)
class Template:
    """What subjects are aligned to.

    Attributes
    ----------
    gradients : (n_voxels, n_components) float32; zero where `covered` is False.
    lambdas, explained : (n_components,) float64; empty where the template has no spectrum of its own.
    covered : (n_voxels,) bool: voxels with a signal in at least half of the subjects.
    key : identity of the template, part of every aligned record's key.
    skipped : True when it was found on disk and verified.
    warnings : in words.
    """

    gradients: NDArray[np.float32]
    lambdas: NDArray[np.float64]
    explained: NDArray[np.float64]
    covered: NDArray[np.bool_]
    key: str
    skipped: bool
    warnings: tuple[str, ...] = ()


def make_template(
    out: Path,
    part: Part,
    records: Sequence[SubjectRecord],
    options: GradientOptions,
    left: tuple[Part, Template] | None,
) -> Template:
    """Compute and write the template of one part, or verify the one on disk.

    Parameters
    ----------
    records : the part's finished subjects, in any order.
    left : the left part and its template when this is the right of two, which is rotated onto its mirror image.
    """
    records = sorted(records, key=lambda record: record.participant_id)
    paths = group_paths(out, part.hemisphere, part.thalamus.grid)
    key = _template_key(part, records, options, left)
    if is_done(paths.record, key) and files_match(paths.record.parent, read_attributes(paths.record)["files"]):
        return _read_template(paths.record, part, options, key)
    with collect_remarks() as remarks, threadpool_limits(1):
        template, affinity = _estimate(out, part, records, options)
        if left is not None and options.template in POOLS:  # a file holds both sides as they are
            template = _onto_mirror_of(left, template, part, options)
    datasets: dict[str, NDArray[Any]] = {
        "template": template.gradients,
        "lambdas": template.lambdas,
        "explained": template.explained,
        "covered": template.covered.astype(np.uint8),
    }
    if affinity is not None:
        datasets["affinity"] = pack_upper(affinity.astype(np.float32))
    if part.thalamus.ijk is not None:
        datasets["voxel_ijk"] = part.thalamus.ijk
    attributes: dict[str, Any] = {
        "subjects": [record.participant_id for record in records],
        "keys": [record.key for record in records],
        "template": options.template if options.template in POOLS else Path(options.template).name,
        "n_align": options.n_align,
        "warnings": list(remarks),
    }
    write_maps(paths.maps, template.gradients, part.thalamus, component_names(options.n_components))
    write_sidecar(
        paths.sidecar,
        {
            "Description": "Connectivity gradients of the thalamus: the template that subjects are aligned to",
            "Template": attributes["template"],
            "Options": {name: value for name, value in asdict(options).items() if name != "template"},
            "Key": key,
            "Subjects": attributes["subjects"],
            "Eigenvalues": template.lambdas.tolist(),
            "ExplainedVariance": template.explained.tolist(),
            "VoxelsWithSignal": int(template.covered.sum()),
            "Warnings": list(remarks),
        },
    )
    attributes["files"] = {path.name: file_sha256(path) for path in (paths.maps, paths.sidecar)}
    write_record(paths.record, datasets, attributes, key=key)
    return _read_template(paths.record, part, options, key, skipped=False)


def read_template(part: Part, options: GradientOptions) -> NDArray[np.float32]:
    """The maps of a template file at the part's voxels, (n_voxels, n_components).

    UsageError for a name that is neither a file nor a kind of template; InputError and NumericsError for a file of
    another grid or with too few components.
    """
    path = Path(options.template)
    if not path.is_file():
        raise UsageError(
            f"--template {options.template} is no file", remedy=f"give a file, or one of {', '.join(POOLS)}"
        )
    gradients = read_maps(path, part.thalamus)
    if gradients.shape[1] < options.n_components:
        raise NumericsError(
            f"the template has {gradients.shape[1]} components, {options.n_components} are asked for",
            where=options.template,
            remedy="use fewer --n-components",
        )
    return gradients[:, : options.n_components]


def component_names(n_components: int) -> tuple[str, ...]:
    """`gradient1`, `gradient2`, …: names of maps and columns."""
    return tuple(f"gradient{number}" for number in range(1, n_components + 1))


def _template_key(
    part: Part, records: Sequence[SubjectRecord], options: GradientOptions, left: tuple[Part, Template] | None
) -> str:
    # the subjects' keys hold every option of theirs; a file counts by its content
    source = options.template if options.template in POOLS else input_sha256(Path(options.template))
    members = [[record.participant_id, record.key] for record in records]
    return config_key(RESULT_VERSION, part.key, members, source, options.n_align, left[1].key if left else None)


def _read_template(path: Path, part: Part, options: GradientOptions, key: str, *, skipped: bool = True) -> Template:
    n, k = part.n_voxels, options.n_components
    record = read_record(
        path,
        {
            "template": DatasetSpec("float32", (n, k)),
            "lambdas": DatasetSpec("float64", (None,)),
            "explained": DatasetSpec("float64", (None,)),
            "covered": DatasetSpec("uint8", (n,)),
        },
    )
    stored = record.datasets
    remarks = tuple(str(remark) for remark in record.attributes["warnings"])
    return Template(
        stored["template"],
        stored["lambdas"],
        stored["explained"],
        stored["covered"].astype(bool),
        key,
        skipped,
        remarks,
    )


def _estimate(
    out: Path, part: Part, records: Sequence[SubjectRecord], options: GradientOptions
) -> tuple[Template, NDArray[np.float64] | None]:
    """The template before any mirroring, and the pooled affinity when there is one."""
    if options.template not in POOLS:
        gradients = read_template(part, options)
        return _template(gradients, np.any(gradients != 0, axis=1)), None
    if options.template == "generalised":
        return _generalised(out, part, records, options), None
    if options.template == "pooled":
        affinity, covered = _mean_affinity(out, part, records)
    else:
        affinity, covered = _affinity_of_mean_connectivity(out, part, records, options)
    embedding = embed_with(options, affinity[np.ix_(covered, covered)], **part.voxel_places(covered))
    template = _template(scatter(embedding.gradients, covered), covered, embedding.lambdas, embedding.explained)
    return template, affinity


def _template(
    gradients: NDArray[Any],
    covered: NDArray[np.bool_],
    lambdas: NDArray[np.float64] | None = None,
    explained: NDArray[np.float64] | None = None,
) -> Template:
    nothing = np.zeros(0)
    return Template(
        gradients.astype(np.float32),
        nothing if lambdas is None else lambdas,
        nothing if explained is None else explained,
        covered,
        key="",
        skipped=False,
    )


def _mean_affinity(
    out: Path, part: Part, records: Sequence[SubjectRecord]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Mean over the subjects in which both voxels have a signal, summed in float64 in the order of `records`."""
    n = part.n_voxels
    total = np.zeros(n * (n + 1) // 2)
    pairs = np.zeros(n * (n + 1) // 2, dtype=np.int32)
    covered_by = np.zeros(n, dtype=np.int64)
    for record in records:
        stored = _read(out, part, record, {"affinity": DatasetSpec("float32", (len(total),))})
        covered = stored["covered"].astype(bool)
        total += stored["affinity"]
        pairs += pack_upper(np.logical_and.outer(covered, covered))
        covered_by += covered
    mean = np.divide(total, pairs, out=total, where=pairs > 0)
    return unpack_upper(mean, n), _covered_by_half(covered_by, len(records), part)


def _affinity_of_mean_connectivity(
    out: Path, part: Part, records: Sequence[SubjectRecord], options: GradientOptions
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Affinity of the mean connectivity: each entry's mean over the subjects in which it was measured."""
    shape = (part.n_voxels, len(part.targets))
    total, measured = np.zeros(shape), np.zeros(shape, dtype=np.int32)
    covered_by = np.zeros(part.n_voxels, dtype=np.int64)
    for record in records:
        stored = _read(out, part, record, {"connectivity": DatasetSpec("float32", shape)})
        total += stored["connectivity"]
        measured += stored["connectivity"] != 0
        covered_by += stored["covered"]
    covered = _covered_by_half(covered_by, len(records), part)
    mean = np.divide(total, measured, out=total, where=measured > 0)[covered]
    affinity = np.zeros((part.n_voxels, part.n_voxels))
    affinity[np.ix_(covered, covered)] = compute_affinity(mean, kernel=options.kernel, sparsity=options.sparsity)
    return affinity, covered


def _generalised(out: Path, part: Part, records: Sequence[SubjectRecord], options: GradientOptions) -> Template:
    """Mean of the gradients after generalised Procrustes, over the voxels that all subjects share."""
    spec = {"gradients": DatasetSpec("float32", (part.n_voxels, options.n_components))}
    stored = [_read(out, part, record, spec) for record in records]
    shared = np.all([one["covered"] for one in stored], axis=0)
    if shared.sum() <= options.n_components:
        raise NumericsError("too few voxels have a signal in every subject", remedy="use --template pooled")
    reference = generalised_procrustes([one["gradients"][shared] for one in stored], n_align=options.n_align)
    return _template(scatter(reference.reference, shared), shared)


def _read(out: Path, part: Part, record: SubjectRecord, spec: dict[str, DatasetSpec]) -> dict[str, NDArray[Any]]:
    path = subject_paths(out, record.participant_id, part.hemisphere).record
    return read_record(path, {"covered": DatasetSpec("uint8", (part.n_voxels,)), **spec}).datasets


def _covered_by_half(covered_by: NDArray[np.int64], n_subjects: int, part: Part) -> NDArray[np.bool_]:
    covered: NDArray[np.bool_] = 2 * covered_by >= n_subjects
    if not covered.all():
        missing = int((~covered).sum())
        warnings.warn(
            ThalgpuWarning(f"{missing} of {part.n_voxels} voxels have a signal in fewer than half of the subjects"),
            stacklevel=2,
        )
    return covered


def _onto_mirror_of(left: tuple[Part, Template], template: Template, part: Part, options: GradientOptions) -> Template:
    """Rotate the right template onto the left one, voxels matched through the midplane (x → −x)."""
    left_part, left_template = left
    if left_part.thalamus.xyz is None or part.thalamus.xyz is None:
        raise NumericsError("hemispheres can be matched only where the thalamus is made of voxels")
    partner = mirror_correspondence(left_part.thalamus.xyz, part.thalamus.xyz)
    shared = template.covered & left_template.covered[partner]
    rotated = procrustes(
        template.gradients, left_template.gradients[partner], n_align=options.n_align, covered=shared
    ).aligned
    return replace(template, gradients=np.where(template.covered[:, None], rotated, 0).astype(np.float32))
