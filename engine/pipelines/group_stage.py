"""The template: gradients of all subjects together, from their records in the order of their ids."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from thalgpu.engine.cluster.executor import Workers
from thalgpu.engine.config import GradientOptions, config_key
from thalgpu.engine.gradients.alignment import mirror_correspondence, procrustes
from thalgpu.engine.outputs.atomic import file_sha256
from thalgpu.engine.outputs.images import read_maps, write_maps
from thalgpu.engine.outputs.names import group_paths
from thalgpu.engine.outputs.packing import pack_upper
from thalgpu.engine.outputs.sidecars import write_sidecar
from thalgpu.engine.outputs.store import DatasetSpec, is_done, read_attributes, read_record, write_record
from thalgpu.engine.pipelines.input_hashes import input_sha256
from thalgpu.engine.pipelines.parts import Part
from thalgpu.engine.pipelines.remarks import collect_remarks
from thalgpu.engine.pipelines.subject_stage import RESULT_VERSION
from thalgpu.engine.pipelines.template_estimates import Estimate, generalised, pooled
from thalgpu.engine.pipelines.template_sums import remove_sums
from thalgpu.engine.pipelines.verified import files_match
from thalgpu.engine.plan import SUBJECTS_A_SUM
from thalgpu.engine.results import SubjectRecord
from thalgpu.errors import NumericsError, UsageError

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
    workers: Workers | None = None,
) -> Template:
    """Compute and write the template of one part, or verify the one on disk.

    Parameters
    ----------
    records : the part's finished subjects, in any order.
    left : the left part and its template when this is the right of two, which is rotated onto its mirror image.
    workers : who adds up many subjects; None for this process. The bits are the same.

    Raises
    ------
    SumStoppedError
        When a signal came before the subjects were added up.
    """
    records = sorted(records, key=lambda record: record.participant_id)
    paths = group_paths(out, part.hemisphere, part.thalamus.grid)
    key = _template_key(part, records, options, left)
    if is_done(paths.record, key) and files_match(paths.record.parent, read_attributes(paths.record)["files"]):
        remove_sums(out)
        return _read_template(paths.record, part, options, key)
    with collect_remarks() as remarks, threadpool_limits(1):
        template = _estimate(out, part, records, options, workers)
        if left is not None and options.template in POOLS:  # a file holds both sides as they are
            template = _onto_mirror_of(left, template, part, options)
    datasets: dict[str, NDArray[Any]] = {
        "template": template.gradients,
        "lambdas": template.lambdas,
        "explained": template.explained,
        "covered": template.covered.astype(np.uint8),
    }
    if template.affinity is not None:
        datasets["affinity"] = pack_upper(template.affinity.astype(np.float32))
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
    remove_sums(out)
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
    order = [SUBJECTS_A_SUM] if options.template in ("pooled", "pooled-connectivity") else []
    return config_key(RESULT_VERSION, part.key, members, source, options.n_align, left[1].key if left else None, *order)


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
    out: Path, part: Part, records: Sequence[SubjectRecord], options: GradientOptions, workers: Workers | None
) -> Estimate:
    """The template before any mirroring."""
    if options.template == "generalised":
        return generalised(out, part, records, options)
    if options.template in POOLS:
        return pooled(out, part, records, options, workers)
    gradients = read_template(part, options)
    return Estimate(gradients, np.any(gradients != 0, axis=1))


def _onto_mirror_of(left: tuple[Part, Template], template: Estimate, part: Part, options: GradientOptions) -> Estimate:
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
