"""What the engine hands on: frozen records between methods, workers, the store and the report."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.gradients.embedding import Embedding

__all__ = ["Embedding", "SubjectRecord"]


@dataclass(frozen=True)
class SubjectRecord:
    """What a worker returns for one subject: small, so that only files carry arrays.

    Attributes
    ----------
    participant_id : without "sub-".
    hemisphere : "L", "R", or None for both thalami in one embedding.
    key : config key of the subject's result.
    n_voxels, n_covered : thalamic voxels of the region, and those with a signal.
    n_targets, n_targets_covered : likewise for the cortex.
    n_volumes, n_kept : volumes read and kept.
    lambdas : leading eigenvalues.
    seconds : wall time; 0 when the result was found on disk and verified.
    skipped : True when the result was found on disk and verified.
    sha256 : file → SHA-256 (hex) of every input.
    mean_fd : mean framewise displacement in mm, or None when unknown.
    warnings : in words, for the table and the report.
    stamp : size and modification time (ns) of its file as it was written; (0, 0) where it was found.
    """

    participant_id: str
    hemisphere: Literal["L", "R"] | None
    key: str
    n_voxels: int
    n_covered: int
    n_targets: int
    n_targets_covered: int
    n_volumes: int
    n_kept: int
    lambdas: NDArray[np.float64]
    seconds: float
    skipped: bool
    sha256: dict[Path, str] = field(default_factory=dict)
    mean_fd: float | None = None
    warnings: tuple[str, ...] = ()
    stamp: tuple[int, int] = (0, 0)
