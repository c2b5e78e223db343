"""What a user asks of `thalgpu compare`, and options that cannot be meant."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from thalgpu.engine.cluster.scheduler import Scheduler
from thalgpu.engine.cluster.shards import Shard
from thalgpu.engine.inference.check_options import check_options
from thalgpu.engine.inference.model import InferenceOptions
from thalgpu.errors import UsageError


@dataclass(frozen=True)
class CompareRequest:
    """Everything that a user asks of `thalgpu compare`.

    Attributes
    ----------
    gradients : output folder of `thalgpu gradients`.
    design : table of participants.
    group : its column of groups.
    out : output folder.
    covariates : columns that are regressed from the affinities.
    blocks : columns of exchangeability blocks; () for none.
    whole : a single column's blocks are exchanged as wholes.
    missing : what becomes of subjects without a record, a row or a value.
    path : how eigenvectors are found; "auto" decides from the data.
    eig_tol : largest estimated error of a statistic, in its null SD, that the reduced path may leave.
    tfce_connectivity : neighbours of a voxel.
    options : permutations, seed and TFCE.
    workers, memory, overwrite, scheduler : as of `thalgpu gradients`.
    shard : the share of the blocks of permutations that is done, without p-values; None for all.
    """

    gradients: Path
    design: Path
    group: str = "group"
    out: Path = Path("thalgpu-compare")
    covariates: tuple[str, ...] = ()
    blocks: tuple[str, ...] = ()
    whole: bool = False
    missing: Literal["error", "drop"] = "error"
    path: Literal["auto", "reduced", "exact", "direct"] = "auto"
    eig_tol: float = 0.01
    tfce_connectivity: int = 6
    options: InferenceOptions = field(default_factory=InferenceOptions)
    workers: int | None = None
    memory: int | None = None
    overwrite: bool = False
    scheduler: Scheduler | None = None
    shard: Shard | None = None


def check_compare_request(request: CompareRequest) -> None:
    """UsageError that names the option and what it may be."""
    check_options(request.options)
    if not 0 < request.eig_tol <= 1:
        raise UsageError(f"eig_tol {request.eig_tol:g} is not possible", remedy="it must be more than 0, at most 1")
    if request.options.tfce_grid == "randomise":
        raise UsageError("randomise's TFCE grid is made for t", remedy="use --tfce-grid exact, palm or nilearn")
    if request.tfce_connectivity not in (6, 18, 26):
        raise UsageError(
            f"tfce_connectivity {request.tfce_connectivity} is not possible", remedy="it must be 6, 18 or 26"
        )
    if request.out.resolve() == request.gradients.resolve():
        raise UsageError("--out is the folder of the gradients", remedy="choose another --out")
