"""Before any work: read the list, find the regions, look at every header, and plan."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from thalgpu.engine.cluster.devices import choose_gpus
from thalgpu.engine.cluster.scheduler import Scheduler
from thalgpu.engine.cluster.shards import Shard
from thalgpu.engine.config import CleaningOptions, GradientOptions
from thalgpu.engine.inputs.model import Region, Subject
from thalgpu.engine.inputs.regions import find_regions, read_region, usable_subjects
from thalgpu.engine.inputs.subject_list import read_subject_list
from thalgpu.engine.outputs.locks import check_is_ours
from thalgpu.engine.pipelines.check_options import check_cleaning_options, check_gradient_options
from thalgpu.engine.pipelines.group_stage import POOLS, read_template
from thalgpu.engine.pipelines.nuclei import match_nuclei
from thalgpu.engine.pipelines.parts import Part, split_parts
from thalgpu.engine.pipelines.remarks import collect_remarks
from thalgpu.engine.plan import GradientsPlan, plan_gradients
from thalgpu.errors import NumericsError, ThalgpuError, UsageError


class InputsRequest(Protocol):
    """The part of a request that says whose scans and which regions."""

    @property
    def subjects(self) -> Path:
        """The subject list."""

    @property
    def derivatives(self) -> Path | None:
        """Folder that the labels of the list belong to."""

    @property
    def input_type(self) -> str | None:
        """Its layout."""

    @property
    def thalamus(self) -> str | None:
        """`FILE[:LABELS]`, or None to find it."""

    @property
    def cortex(self) -> str | None:
        """Likewise."""


@dataclass(frozen=True)
class GradientsRequest:
    """Everything that a user asks of `thalgpu gradients`.

    Attributes
    ----------
    subjects : the subject list.
    out : output folder.
    derivatives, input_type : for lists of participant labels.
    thalamus, cortex : `FILE[:LABELS]`, or None to find the regions.
    nuclei : label image of thalamic nuclei for the summary, or None.
    options, cleaning : how gradients are made.
    workers : processes, or None for one a core.
    memory : bytes allowed, or None.
    gpus : how many GPUs, 0 for the CPU, or None for all that work.
    overwrite : replace results that were made with other options.
    scheduler : Dask cluster that does the work, or None for this machine.
    shard : the share of the subjects that is done, without what is the group's; None for all.
    """

    subjects: Path
    out: Path = Path("thalgpu-out")
    derivatives: Path | None = None
    input_type: str | None = None
    thalamus: str | None = None
    cortex: str | None = None
    nuclei: str | None = None
    options: GradientOptions = field(default_factory=GradientOptions)
    cleaning: CleaningOptions = field(default_factory=CleaningOptions)
    workers: int | None = None
    memory: int | None = None
    gpus: int | None = None
    overwrite: bool = False
    scheduler: Scheduler | None = None
    shard: Shard | None = None


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
    request: InputsRequest, subjects: Sequence[Subject] | None = None
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
