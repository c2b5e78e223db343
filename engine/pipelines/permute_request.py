"""What a user asks of `thalgpu permute`, and options that cannot be meant."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from thalgpu.engine.cluster.scheduler import Scheduler
from thalgpu.engine.cluster.shards import Shard
from thalgpu.engine.inference.check_options import check_options
from thalgpu.engine.inference.model import InferenceOptions
from thalgpu.errors import UsageError

CONNECTIVITIES = (6, 18, 26)


@dataclass(frozen=True)
class PermuteRequest:
    """Everything that a user asks of `thalgpu permute`.

    Attributes
    ----------
    maps : a gradients folder, images, a list of them, an array or a table.
    design : table of participants (with `formula`), or a design matrix.
    out : output folder.
    component : numbers of the components (or maps of a file) to test, from 1.
    mask, atlas : `FILE[:LABELS]` to test inside; label image that names peaks; or None.
    surface : mesh of surface maps, `FILE` or `LEFT,RIGHT`, or None.
    formula, contrast, f_test : model and hypotheses in words, for a table of participants.
    contrasts, f_tests : files, for a design matrix.
    demean, missing : how a table's covariates and gaps are dealt with.
    blocks, variance_groups : columns of the table, or a file; None for none.
    whole : single-column blocks are exchanged as wholes.
    permutations : a file of them, or None.
    save_permutations : keep them in results.h5.
    tfce_connectivity, cluster_connectivity : neighbours of a voxel, for TFCE and for clusters; PALM's by default.
    vertex_areas : whether vertices count by their mm², or as one each.
    options : how the test is done.
    workers, memory, gpus, overwrite, scheduler : as of `thalgpu gradients`.
    shard : the share of the blocks of permutations that is done, without p-values; None for all.
    """

    maps: tuple[Path, ...]
    design: Path
    out: Path = Path("thalgpu-permute")
    component: tuple[int, ...] = (1,)
    mask: str | None = None
    surface: str | None = None
    atlas: str | None = None
    formula: str | None = None
    contrast: tuple[str, ...] = ()
    f_test: tuple[str, ...] = ()
    contrasts: Path | None = None
    f_tests: Path | None = None
    demean: bool = True
    missing: Literal["error", "drop"] = "error"
    blocks: str | None = None
    whole: bool = False
    variance_groups: str | None = None
    permutations: Path | None = None
    save_permutations: bool = False
    tfce_connectivity: int = 6
    cluster_connectivity: int = 26
    vertex_areas: bool = True
    options: InferenceOptions = field(default_factory=InferenceOptions)
    workers: int | None = None
    memory: int | None = None
    gpus: int | None = None
    overwrite: bool = False
    scheduler: Scheduler | None = None
    shard: Shard | None = None


def check_permute_request(request: PermuteRequest) -> None:
    """UsageError that names the option and what it may be."""
    for option in ("formula", "mask", "surface", "atlas", "blocks", "variance_groups"):
        if (text := getattr(request, option)) is not None and not text.strip():  # a variable of a script that is unset
            raise UsageError(f"--{option.replace('_', '-')} is empty", remedy="leave it out, or give its value")
    check_options(request.options)
    if request.formula is not None:
        if request.contrasts or request.f_tests:
            raise UsageError(
                "--contrasts and --f-tests are files for a design matrix, --formula makes one from a table",
                remedy="give --contrast 'a - b' and --f-test term",
            )
        if not request.contrast and not request.f_test:
            raise UsageError("nothing is tested", remedy="add --contrast 'patients - controls', or --f-test group")
    else:
        if request.contrast or request.f_test:
            raise UsageError("--contrast and --f-test speak of a --formula", remedy="add --formula 'group + age'")
        if request.contrasts is None:
            raise UsageError(
                "neither --formula nor --contrasts is given",
                remedy="--formula 'group + age' --contrast 'a - b' for a table; --contrasts FILE for a design matrix",
            )
    for option in ("tfce_connectivity", "cluster_connectivity"):
        if getattr(request, option) not in CONNECTIVITIES:
            name = f"--{option.replace('_', '-')}"
            raise UsageError(f"{name} {getattr(request, option)} is not possible", remedy="it must be 6, 18 or 26")
    _check_combinations(request)


def _check_combinations(request: PermuteRequest) -> None:
    options = request.options
    if options.pearson and request.variance_groups:
        raise UsageError("--pearson assumes one variance", remedy="leave out --variance-groups or --pearson")
    if request.permutations and options.sign_flip:
        raise UsageError("--permutations says itself which signs are flipped", remedy="leave out --sign-flip")
    if request.whole and request.blocks is None:
        raise UsageError("--whole speaks of --blocks, which are not given", remedy="add --blocks, or leave out --whole")
