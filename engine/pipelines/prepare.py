"""Before any work: read the list, find the regions, look at every header, and plan."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from thalgpu.engine.cluster.devices import choose_gpus
from thalgpu.engine.config import GradientOptions
from thalgpu.engine.inputs.model import Region, Subject
from thalgpu.engine.inputs.regions import find_regions, read_region, usable_subjects
from thalgpu.engine.inputs.subject_list import read_subject_list
from thalgpu.engine.outputs.locks import check_is_ours
from thalgpu.engine.pipelines.check_options import check_cleaning_options, check_gradient_options
from thalgpu.engine.pipelines.group_stage import POOLS, read_template
from thalgpu.engine.pipelines.nuclei import match_nuclei
from thalgpu.engine.pipelines.parts import Part, split_parts
from thalgpu.engine.pipelines.remarks import collect_remarks
from thalgpu.engine.pipelines.scans_request import ScansRequest
from thalgpu.engine.plan import GradientsPlan, plan_gradients
from thalgpu.errors import NumericsError, ThalgpuError, UsageError


@dataclass(frozen=True)
class GradientsRequest(ScansRequest):
    """Everything that a user asks of `thalgpu gradients`.

    Attributes
    ----------
    options : how gradients are made.
    gpus : how many GPUs, 0 for the CPU, or None for all that work.
    """

    options: GradientOptions = field(default_factory=GradientOptions)
    gpus: int | None = None


@dataclass(frozen=True)
class Prepared:
    """A checked request.

    Attributes
    ----------
    subjects : those whose headers can be used, in list order.
    rejected : participant id → why it cannot.
    thalamus, cortex : the regions.
    parts : the embeddings to make.
    nuclei : the label image of nuclei, or None.
    plan : sizes, workers, memory.
    warnings : remarks on list and regions.
    """

    subjects: tuple[Subject, ...]
    rejected: Mapping[str, ThalgpuError]
    thalamus: Region
    cortex: Region
    parts: tuple[Part, ...]
    nuclei: Region | None
    plan: GradientsPlan
    warnings: tuple[str, ...]


def prepare(request: GradientsRequest, subjects: Sequence[Subject] | None = None) -> Prepared:
    """Check all that can be checked without reading a scan; nothing is written.

    Parameters
    ----------
    request : what to do.
    subjects : of the list, where the caller knows them already.

    Raises
    ------
    InputError, UsageError, NumericsError
        When the list, the regions or the options cannot be used, or no subject can.
    ResourceError
        When one subject does not fit into memory.
    """
    check_gradient_options(request.options)
    check_cleaning_options(request.cleaning)
    check_is_ours(request.out)
    gpus = choose_gpus(request.gpus, request.scheduler)
    with collect_remarks() as remarks:
        subjects, thalamus, cortex = find_inputs(request, subjects)
    parts = split_parts(thalamus, cortex, request.options)
    _check_parts(parts, request.options, request.out)
    nuclei = read_region(request.nuclei, thalamus.grid) if request.nuclei else None
    if nuclei is not None:
        for part in parts:
            match_nuclei(nuclei, part.thalamus)
    usable, rejected, headers = usable_subjects(subjects, (thalamus, cortex))
    plan = plan_gradients(
        n_subjects=len(usable),
        n_parts=len(parts),
        n_voxels=max(part.n_voxels for part in parts),
        n_targets=max(len(part.targets) for part in parts),
        n_timepoints=max(sum(header.n_timepoints for header in scans) for scans in headers),
        n_elements=len(thalamus.flat) + len(cortex.flat),
        volume_bytes=max(header.bytes // header.n_timepoints for scans in headers for header in scans),
        options=request.options,
        workers=request.workers,
        memory=request.memory,
        gpus=gpus,
    )
    return Prepared(usable, rejected, thalamus, cortex, parts, nuclei, plan, tuple(remarks))


def find_inputs(
    request: ScansRequest, subjects: Sequence[Subject] | None = None
) -> tuple[Sequence[Subject], Region, Region]:
    """Subjects of the list, thalamus and cortex; UsageError or InputError where they cannot be had."""
    if request.input_type and not request.derivatives:
        raise UsageError("--input-type is for participant labels", remedy="add --derivatives, or leave it out")
    if subjects is None:
        subjects = read_subject_list(request.subjects, derivatives=request.derivatives, input_type=request.input_type)
    return subjects, *find_regions(subjects, thalamus=request.thalamus, cortex=request.cortex)


def _check_parts(parts: Sequence[Part], options: GradientOptions, out: Path) -> None:
    """What the group stages will need, before hours are spent on the subjects."""
    for part in parts:
        if options.template not in POOLS:
            if Path(options.template).resolve().is_relative_to(out.resolve()):
                raise UsageError("--template lies in the output folder", remedy="copy it, or choose another --out")
            read_template(part, options)
        if part.thalamus.xyz is None and (options.trend_surface or options.hemisphere == "separate"):
            option = "--trend-surface" if options.trend_surface else "--hemisphere separate"
            raise NumericsError(f"{option} needs a thalamus made of voxels", where=part.thalamus.source)
