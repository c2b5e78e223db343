"""A permutation test's problem, and what its blocks leave behind, as records that any worker can read."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.inference.block_tree import block_tree
from thalgpu.engine.inference.blocks import Problem
from thalgpu.engine.inference.model import Contrast, Design, InferenceOptions, Neighbours, Part
from thalgpu.engine.inference.null_maxima import Null
from thalgpu.engine.inference.permutation_set import PermutationSet, permutations_from_file, plan_permutations
from thalgpu.engine.outputs.store import DatasetSpec, Record, read_attributes, read_record, record_content, write_record

OF_RESULTS = ("tail", "fdr")
"""Options that turn what permutations leave behind into p-values, and change nothing before."""
_KEY = "problem"
_NULL_KINDS = ("maxima", "counts", "first_hits")


def write_problem(path: Path, problem: Problem) -> str:
    """Write all that a worker needs; returns the SHA-256 of the content, which is the problem's identity.

    Options that matter once all permutations are done are no part of it: others can be tried on the same permutations.
    """
    return write_record(path, *_written(problem), key=_KEY)


def problem_content(path: Path, problem: Problem) -> str:
    """What `write_problem` would return; nothing is written, and `path` is for messages only."""
    return record_content(path, *_written(problem), key=_KEY)


def _written(problem: Problem) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Datasets and attributes of a problem's record."""
    design = problem.design
    datasets: dict[str, NDArray[Any]] = {
        "values": problem.values,
        "matrix": design.matrix,
        "weights": np.concatenate([contrast.weights for contrast in design.contrasts]),
    }
    labels = {"blocks": design.blocks, "variance_groups": design.variance_groups}
    datasets |= {name: array for name, array in labels.items() if array is not None}
    if problem.permutations.source == "file":
        datasets["permutations"] = _signed(problem.permutations)
    used = (*problem.neighbours, *problem.cluster_neighbours)
    graphs = list({id(graph): graph for graph in used if graph is not None}.values())
    for number, graph in enumerate(graphs):
        datasets |= {f"{name}-{number}": getattr(graph, name) for name in ("indptr", "indices", "sizes")}
    which = {id(graph): number for number, graph in enumerate(graphs)} | {id(None): None}
    attributes = {
        "columns": design.columns,
        "contrasts": [[one.name, one.label, one.kind, len(one.weights)] for one in design.contrasts],
        "options": {name: value for name, value in asdict(problem.options).items() if name not in OF_RESULTS},
        "parts": [[part.name, part.start, part.stop] for part in problem.parts],
        "neighbours": [which[id(graph)] for graph in problem.neighbours],
        "cluster_neighbours": [which[id(graph)] for graph in problem.cluster_neighbours],
        "dimensions": [graph.dimensions for graph in graphs],
        "permutations": problem.permutations.fingerprint,
    }
    return datasets, attributes


def read_problem(path: Path) -> tuple[Problem, str]:
    """The problem of a record, its tail and fdr the default, and the SHA-256 of its content."""
    record = read_all(path)
    about, found = record.attributes, record.datasets
    contrasts, row = [], 0
    for name, label, kind, n_rows in about["contrasts"]:
        contrasts.append(Contrast(name, label, found["weights"][row : row + n_rows], kind))
        row += n_rows
    design = Design(
        found["matrix"],
        tuple(about["columns"]),
        tuple(contrasts),
        blocks=found.get("blocks"),
        variance_groups=found.get("variance_groups"),
    )
    options = InferenceOptions(**about["options"])
    graphs = [
        Neighbours(found[f"indptr-{number}"], found[f"indices-{number}"], found[f"sizes-{number}"], dimensions)
        for number, dimensions in enumerate(about["dimensions"])
    ]
    problem = Problem(
        found["values"],
        design,
        _permutations(found, design, options, path),
        options,
        tuple(Part(*part) for part in about["parts"]),
        *(
            tuple(None if number is None else graphs[number] for number in about[name])
            for name in ("neighbours", "cluster_neighbours")
        ),
    )
    if problem.permutations.fingerprint != about["permutations"]:
        raise RuntimeError(f"{path}: the permutations are not those that the run was planned with")
    return problem, record.content_sha256


def write_null(path: Path, null: Null, key: str) -> None:
    """What some permutations left behind, as a record."""
    write_record(path, null_datasets(null), {"stretches": null.stretches}, key=key)


def read_null(path: Path) -> Null:
    """The record's content, verified."""
    return null_of(read_all(path))


def null_datasets(null: Null) -> dict[str, NDArray[Any]]:
    """The arrays by name, such as "maxima-tfce"."""
    return {f"{kind}-{measure}": array for kind in _NULL_KINDS for measure, array in getattr(null, kind).items()}


def null_of(record: Record) -> Null:
    """The arrays of a record in their places; its stretches are an attribute."""
    kinds: dict[str, dict[Any, NDArray[Any]]] = {kind: {} for kind in _NULL_KINDS}
    for name, array in record.datasets.items():
        kind, _, measure = name.partition("-")
        kinds[kind][measure] = array
    return Null(tuple((start, stop) for start, stop in record.attributes["stretches"]), **kinds)


def read_all(path: Path) -> Record:
    """Every dataset of a record of ours, as it is listed there."""
    listed = read_attributes(path)["datasets"]
    return read_record(path, {name: DatasetSpec(one["dtype"], tuple(one["shape"])) for name, one in listed.items()})


def _signed(permutations: PermutationSet) -> NDArray[np.int64]:
    """Rows of a file's permutations as they stand there: from 1, negative where a sign is flipped."""
    rows, signs = permutations.rows(0, permutations.n_perm)
    signed: NDArray[np.int64] = (rows.astype(np.int64) + 1) * (1 if signs is None else signs)
    return signed


def _permutations(
    found: dict[str, NDArray[Any]], design: Design, options: InferenceOptions, path: Path
) -> PermutationSet:
    if "permutations" in found:
        return permutations_from_file(found["permutations"], block_tree(design.blocks, len(design.matrix)), path)
    return plan_permutations(design, options)
