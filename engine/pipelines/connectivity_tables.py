"""Tables of all subjects: Fisher's z of seeds and parcels, and of all pairs of regions."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.outputs.sidecars import write_measures
from thalgpu.engine.pipelines.connectivity_prepare import ConnectivityPrepared
from thalgpu.engine.pipelines.connectivity_stage import ConnectivityTask, read_regions

NAMES = ("connectivity", "regions")


def write_tables(
    out: Path, prepared: ConnectivityPrepared, finished: Sequence[ConnectivityTask], *, matrix: bool
) -> tuple[dict[str, Path], list[str]]:
    """`connectivity.tsv` of seeds and parcels (of seeds alone without parcels) and `regions.tsv` of all pairs.

    Parameters
    ----------
    finished : tasks of the subjects whose records are complete, in the order of the rows.
    matrix : whether `regions.tsv` is written.

    Returns
    -------
    tables : name → file.
    remarks : which columns are missing, and why.

    Notes
    -----
    A column is a pair of regions without a common element that both have a signal in everybody: a table that is tested
    has no gaps, and what is left out is told. Tables that are not written now, and were before, are removed.
    """
    n_seeds = len(prepared.seeds.names)
    by_name = {"connectivity": _of_seeds(prepared.pairs, n_seeds, n_seeds < len(prepared.regions))}
    if matrix:
        by_name["regions"] = prepared.pairs
    loaded = [read_regions(task) for task in finished]
    everywhere = np.logical_and.reduce([covered for _, covered in loaded])
    tables: dict[str, Path] = {}
    for name in NAMES:
        pairs = by_name.get(name, prepared.pairs[:0])
        pairs = pairs[everywhere[pairs].all(axis=1)]
        path = out / f"{name}.tsv"
        if not len(pairs):
            path.unlink(missing_ok=True)
            continue
        columns = [f"{prepared.regions[first]}__{prepared.regions[second]}" for first, second in pairs]
        values = np.stack([z[tuple(pairs.T)] for z, _ in loaded])
        write_measures(path, [task.subject.participant_id for task in finished], columns, values)
        tables[name] = path
    return tables, _left_out(prepared, finished, [covered for _, covered in loaded])


def _of_seeds(pairs: NDArray[np.int64], n_seeds: int, has_parcels: bool) -> NDArray[np.int64]:
    """Pairs of a seed and a parcel; of two seeds where there are no parcels."""
    first, second = pairs.T
    chosen: NDArray[np.int64] = pairs[(first < n_seeds) & ((second >= n_seeds) == has_parcels)]
    return chosen


def _left_out(
    prepared: ConnectivityPrepared, finished: Sequence[ConnectivityTask], covered: Sequence[NDArray[np.bool_]]
) -> list[str]:
    """Regions that lack a signal in somebody, in one remark."""
    lacking = np.flatnonzero(~np.logical_and.reduce(covered))
    if not len(lacking):
        return []
    who = [f"sub-{task.subject.participant_id}" for task, one in zip(finished, covered, strict=True) if not one.all()]
    names = [prepared.regions[number] for number in lacking]
    return [
        f"{_listed(names)} {'lack' if len(names) > 1 else 'lacks'} a signal in {_listed(who)} and "
        f"{'are' if len(names) > 1 else 'is'} left out of the tables"
    ]


def _listed(words: Sequence[str]) -> str:
    return ", ".join(words[:3]) + (f" and {len(words) - 3} more" if len(words) > 3 else "")
