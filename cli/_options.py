"""How options are declared and read, and the choices that they offer."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thalgpu.errors import UsageError

if TYPE_CHECKING:
    from thalgpu.engine.cluster.scheduler import Scheduler
    from thalgpu.engine.cluster.shards import Shard

INPUT, REGIONS, CLEANING = "Input", "Regions", "Cleaning"
RUNNING = "Running"
"""The help's panels; the last is of what does not change results."""

_REGION_OPTIONS = ("thalamus", "cortex", "nuclei", "atlas", "mask")
"""Of the form FILE[:LABELS]."""


def option(panel: str, text: str, *names: str, **limits: Any) -> Any:
    """An option in a panel of the help; square brackets are text, not markup."""
    return typer.Option(*names, help=text.replace("[", "\\["), rich_help_panel=panel, show_envvar=False, **limits)


def plain(values: dict[str, Any]) -> dict[str, Any]:
    """Option values as the engine takes them: choices as text, sizes as bytes; UsageError for a size that is none.

    Inputs have absolute paths, so that a report names the same files when it is made anew elsewhere; OUT is as given.
    """
    read = {name: _plain(name, value) for name, value in values.items()}
    if read.get("memory") is not None:
        from thalgpu.engine.plan import parse_bytes

        try:
            read["memory"] = parse_bytes(read["memory"])
        except ValueError as error:
            raise UsageError(f"--memory {read['memory']}", remedy="give a size such as 16GB") from error
    if read.get("shard") is not None:
        read["shard"] = _read_shard(read)
    if "scheduler" in read:
        read["scheduler"] = _read_scheduler(read)
    return read


def _plain(name: str, value: Any) -> Any:
    """A choice as text, a file with its absolute path; anything else as it is."""
    match value:
        case StrEnum():
            return value.value
        case Path() if name != "out":
            return value.absolute()
        case [Path(), *_]:
            return [path.absolute() for path in value]
        case str() if value and name in _REGION_OPTIONS:
            from thalgpu.engine.inputs.region_files import absolute_argument

            return absolute_argument(value)
    return value


def _read_shard(read: dict[str, Any]) -> "Shard":
    from thalgpu.engine.cluster.shards import Shard

    if read["overwrite"]:
        raise UsageError(
            "--overwrite would remove what other shards do", remedy="leave it out, or choose another --out"
        )
    return Shard.parse(read["shard"])


def _read_scheduler(read: dict[str, Any]) -> "Scheduler | None":
    """The Dask cluster that the options name; an address that cannot be used is refused before any work."""
    from thalgpu.engine.cluster.scheduler import LOCAL, Scheduler

    names = ("insecure", "tls_ca", "tls_cert", "tls_key")
    if read["scheduler"] in (None, LOCAL):
        for name in names:
            if read[name]:
                option_name = f"--{name.replace('_', '-')}"
                of_what = "an address as --scheduler" if read["scheduler"] else "a --scheduler"
                raise UsageError(f"{option_name} speaks of {of_what}", remedy="leave it out, or add one")
        return Scheduler(LOCAL) if read["scheduler"] else None
    if read.get("gpus"):
        raise UsageError(
            "--gpus counts this machine's, and the work is done by a --scheduler's workers",
            remedy="leave it out, or give --gpus 0 so that they use their CPUs",
        )
    found = Scheduler(read["scheduler"], **{name: read[name] for name in names}, cpu_only=read.get("gpus", 0) == 0)
    found.address()
    return found


GpusOption = Annotated[int | None, option(RUNNING, "GPUs, one process each; 0: none. [default: all that work]", min=0)]
WorkersOption = Annotated[int | None, option(RUNNING, "Processes. [default: as many as cores and memory allow]", min=1)]
MemoryOption = Annotated[str | None, option(RUNNING, "Memory allowed. [default: 90 % of what is free]", metavar="16GB")]
SchedulerOption = Annotated[
    str | None,
    option(RUNNING, "Run on this Dask cluster: tls://HOST:PORT, its file, or local: start one.", metavar="ADDRESS"),
]
InsecureOption = Annotated[bool, option(RUNNING, "Accept a scheduler without encryption.", "--insecure")]
TlsCaOption = Annotated[Path | None, option(RUNNING, "The cluster's authority, PEM. [default: Dask's]")]
TlsCertOption = Annotated[Path | None, option(RUNNING, "Certificate for it, PEM. [default: Dask's]")]
TlsKeyOption = Annotated[Path | None, option(RUNNING, "Key of that, PEM. [default: Dask's]")]
ShardOption = Annotated[str | None, option(RUNNING, "Do every N-th task only, from the I-th.", metavar="I/N")]
LogJsonOption = Annotated[bool, option(RUNNING, "Progress and errors as JSON lines on stderr.", "--log-json")]


SubjectsOption = Annotated[Path, option(INPUT, "Subject list: scans, participant labels, or a TSV.")]
DerivativesOption = Annotated[Path | None, option(INPUT, "fMRIPrep, XCP-D or HCP folder of the labels.")]
InputTypeOption = Annotated[
    str | None, option(INPUT, "Its layout and space: fmriprep, xcpd or hcp, then :SPACE or :SPACE+SURFACE.")
]
ThalamusOption = Annotated[
    str | None, option(REGIONS, "Mask or label image, FILE or FILE:LABELS. [default: found]", metavar="FILE")
]
CortexOption = Annotated[
    str | None, option(REGIONS, "Mask (voxels) or label image (parcels). [default: found]", metavar="FILE")
]
ConfoundsOption = Annotated[str, option(CLEANING, "24p, 36p, acompcor, none, or NAME,NAME,…")]
HighPassOption = Annotated[float | None, option(CLEANING, "Remove slower changes, Hz.")]
LowPassOption = Annotated[float | None, option(CLEANING, "Remove faster changes, Hz.")]
ScrubOption = Annotated[float | None, option(CLEANING, "Leave out volumes of more displacement, mm.")]
DropFirstOption = Annotated[int, option(CLEANING, "Leave out this many first volumes.")]
DetrendOption = Annotated[bool, option(CLEANING, "Remove a linear trend.")]
FwhmOption = Annotated[float, option(CLEANING, "Smooth inside each region, mm.")]
TrOption = Annotated[float | None, option(CLEANING, "Repetition time in s. [default: the header's]")]
OverwriteOption = Annotated[bool, option(RUNNING, "Replace results of other options.", "--overwrite")]
DryRunOption = Annotated[bool, option(RUNNING, "Check headers, print the plan, stop.", "--dry-run")]
VerboseOption = Annotated[
    int, option(RUNNING, "All options in the plan; -vv: tracebacks too.", "-v", "--verbose", count=True)
]


class Recipe(StrEnum):
    """Named sets of gradient options."""

    BRAINSPACE = "brainspace"
    CONGRADS = "congrads"


class Kernel(StrEnum):
    """Similarity of two voxels' connectivity profiles."""

    NORMALIZED_ANGLE = "normalized_angle"
    COSINE = "cosine"
    PEARSON = "pearson"
    SPEARMAN = "spearman"
    GAUSSIAN = "gaussian"
    ETA2 = "eta2"


class Approach(StrEnum):
    """Embedding."""

    DM = "dm"
    LE = "le"
    PCA = "pca"


class Graph(StrEnum):
    """Which pairs of voxels the embedding sees."""

    DENSE = "dense"
    EPSILON = "epsilon"


class Hemisphere(StrEnum):
    """Which thalamus, and whether the two share an embedding."""

    BOTH = "both"
    L = "L"
    R = "R"
    SEPARATE = "separate"


class Targets(StrEnum):
    """Which cortex."""

    ALL = "all"
    IPSILATERAL = "ipsilateral"


class Alignment(StrEnum):
    """How subjects are brought onto the template."""

    PROCRUSTES = "procrustes"
    NONE = "none"


class Keep(StrEnum):
    """What is written besides the gradients and the affinity."""

    CONNECTIVITY = "connectivity"
    PROJECTIONS = "projections"


class Method(StrEnum):
    """How a permutation test deals with nuisance variables."""

    FREEDMAN_LANE = "freedman-lane"
    TER_BRAAK = "ter-braak"
    MANLY = "manly"
    DEKKER = "dekker"


class Missing(StrEnum):
    """What becomes of subjects that lack something."""

    ERROR = "error"
    DROP = "drop"


class Scale(StrEnum):
    """What is maximised over features."""

    T = "t"
    Z = "z"


class TfceGrid(StrEnum):
    """How the TFCE integral is taken."""

    EXACT = "exact"
    PALM = "palm"
    RANDOMISE = "randomise"
    NILEARN = "nilearn"


class Fdr(StrEnum):
    """False discovery rate."""

    BH = "bh"
    BKY = "bky"


class Tail(StrEnum):
    """Distribution fitted to the tail of the null."""

    NONE = "none"
    GPD = "gpd"
    GAMMA = "gamma"
