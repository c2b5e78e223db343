"""A comparison's study, and what its blocks leave behind, as records that any worker can read."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.comparison.blocks import BlockResult, Study
from thalgpu.engine.comparison.labels import comparisons
from thalgpu.engine.comparison.model import Recipe
from thalgpu.engine.comparison.pooled import Pooled
from thalgpu.engine.inference.model import InferenceOptions, Neighbours
from thalgpu.engine.outputs.store import write_record
from thalgpu.engine.pipelines.affinities import read_stack
from thalgpu.engine.pipelines.compare_groups import Groups
from thalgpu.engine.pipelines.compare_prepare import Embedded
from thalgpu.engine.pipelines.permute_records import null_datasets, null_of, read_all

_POOLED = ("lambdas", "basis", "metric", "degrees", "diagonals", "images", "projections", "metrics")


def write_study(path: Path, embedded: Embedded, groups: Groups) -> None:
    """Write all that a worker needs besides the affinities, which are in the subjects' own records."""
    study = embedded.study
    datasets: dict[str, NDArray[Any]] = {
        "template": study.template,
        "subspace": study.subspace,
        "spreads": np.stack(study.spreads),
        "number_spreads": np.stack(study.number_spreads),
        "number_centres": np.stack(study.number_centres),
        "voxels": embedded.voxels.astype(np.uint8),
    }
    given = {"covariates": groups.covariates, "blocks": groups.blocks}
    datasets |= {name: array for name, array in given.items() if array is not None}
    if study.pooled is not None:
        datasets |= {f"pooled-{name}": getattr(study.pooled, name) for name in _POOLED}
        datasets["pooled-scalars"] = np.array([study.pooled.tail, study.pooled.caution])
    if study.neighbours is not None:
        datasets |= {name: getattr(study.neighbours, name) for name in ("indptr", "indices", "sizes")}
    attributes = {
        "recipe": asdict(study.recipe),
        "n_align": study.n_align,
        "labels": groups.labels,
        "options": asdict(study.options),
        "path": study.path,
        "eig_tol": study.eig_tol,
        "records": [str(record.absolute()) for record in embedded.records],
    }
    write_record(path, datasets, attributes, key=embedded.key)


def read_study(path: Path) -> Study:
    """The study of a record, with the affinities of all subjects."""
    record = read_all(path)
    about, found = record.attributes, record.datasets
    recipe, options = Recipe(**about["recipe"]), InferenceOptions(**about["options"])
    pooled = None
    if "pooled-basis" in found:
        arrays = {name: found[f"pooled-{name}"] for name in _POOLED}
        tail, caution = found["pooled-scalars"].tolist()
        pooled = Pooled(recipe=recipe, tail=tail, caution=caution, **arrays)
    neighbours = None
    if "indptr" in found:
        neighbours = Neighbours(found["indptr"], found["indices"], found["sizes"], 3)
    return Study(
        stack=read_stack([Path(text) for text in about["records"]], found["voxels"].astype(bool)),
        recipe=recipe,
        pooled=pooled,
        template=found["template"],
        subspace=found["subspace"],
        n_align=about["n_align"],
        comparisons=comparisons(about["labels"], options, found.get("blocks")),
        covariates=found.get("covariates"),
        neighbours=neighbours,
        options=options,
        path=about["path"],
        eig_tol=about["eig_tol"],
        spreads=tuple(found["spreads"]),
        number_spreads=tuple(found["number_spreads"]),
        number_centres=tuple(found["number_centres"]),
    )


def write_block(path: Path, result: BlockResult, key: str) -> None:
    """What some permutations left behind, as a record."""
    datasets = null_datasets(result.null) | {"worst": result.worst, "n_close": result.n_close}
    attributes = {"stretches": result.null.stretches, "n_exact": result.n_exact}
    write_record(path, datasets, attributes, key=key)


def read_block(path: Path) -> BlockResult:
    """The record's content, verified."""
    record = read_all(path)
    tallies = {name: record.datasets.pop(name) for name in ("worst", "n_close")}
    return BlockResult(null_of(record), int(record.attributes["n_exact"]), **tallies)
