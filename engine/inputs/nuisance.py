"""What a run's confounds table is read for: regressors, scrubbing, and the mean displacement of the record."""

import hashlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.config import CleaningOptions
from thalgpu.engine.inputs.confounds import (
    ConfoundsTable,
    confound_regressors,
    framewise_displacement,
    read_confounds,
)
from thalgpu.engine.inputs.model import Run
from thalgpu.errors import InputError


@dataclass(frozen=True)
class Nuisance:
    """What a run's confounds table gives.

    Attributes
    ----------
    regressors : (n_volumes, n_regressors), or None where none are asked for.
    displacement : (n_volumes,) framewise displacement in mm, or None when unknown.
    sha256 : table → SHA-256 (hex); empty without a table.
    """

    regressors: NDArray[np.float64] | None = None
    displacement: NDArray[np.float64] | None = None
    sha256: dict[Path, str] = field(default_factory=dict)


def read_nuisance(run: Run, n_volumes: int, cleaning: CleaningOptions) -> Nuisance:
    """Regressors and displacement of a run of `n_volumes`.

    The displacement is for the record, too: where no scrubbing needs it, it is None when it cannot be had, and where
    regressors are not asked for either, a table that cannot be used is no error.

    Raises
    ------
    InputError
        For a table that is asked for and absent, unsound, of another length, or without the columns.
    """
    options = [("--confounds", cleaning.confounds != "none"), ("--scrub-fd", cleaning.scrub_fd is not None)]
    asked = [name for name, is_set in options if is_set]
    if run.confounds is None:
        if asked:
            remedy = f"name it in the column confounds of the subject list, or leave out {' and '.join(asked)}"
            raise InputError(run.bold, "no confounds table belongs to this scan", remedy=remedy)
        return Nuisance()
    try:
        table = read_confounds(run.confounds)
        _require_length(table, run, n_volumes, cleaning)
    except InputError:
        if asked:
            raise
        return Nuisance(sha256={run.confounds: _digest(run.confounds)})
    regressors = None if cleaning.confounds == "none" else confound_regressors(table, cleaning.confounds)
    return Nuisance(regressors, _displacement(table, needed=cleaning.scrub_fd is not None), {table.path: table.sha256})


def _require_length(table: ConfoundsTable, run: Run, n_volumes: int, cleaning: CleaningOptions) -> None:
    # The table of a censored scan may have a row for every volume that was acquired: its mean displacement is sound.
    if len(table.rows) != n_volumes and not (run.censored and cleaning.confounds == "none"):
        raise InputError(
            table.path,
            f"{len(table.rows)} rows where {run.bold.name} has {n_volumes} volumes",
            remedy="give the confounds of this very run",
        )


def _displacement(table: ConfoundsTable, *, needed: bool) -> NDArray[np.float64] | None:
    try:
        found = framewise_displacement(table)
    except InputError:
        if needed:
            raise
        return None
    if found is None and needed:
        raise InputError(
            table.path,
            "scrubbing needs the framewise displacement, which is unknown",
            remedy="give a confounds table with a column framewise_displacement, or leave out --scrub-fd",
        )
    return found


def _digest(path: Path) -> str:
    """SHA-256 (hex) of a table that cannot be used: it is an input all the same, and a mended one is another."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(path, f"cannot be opened: {error.strerror}") from error
