"""The arguments of `permutation_test`, checked and brought into the shape that the engine works on."""

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from thalgpu.engine.inference.adjacency import from_sparse
from thalgpu.engine.inference.block_tree import block_tree
from thalgpu.engine.inference.model import Contrast, Design, InferenceOptions, Neighbours
from thalgpu.engine.inference.permutation_set import PermutationSet
from thalgpu.engine.inference.rank import check_contrasts, check_design
from thalgpu.engine.inference.table_design import tree_from_column
from thalgpu.engine.machine import usable_cores
from thalgpu.errors import UsageError


def numbers(name: str, given: Any) -> NDArray[np.float64]:
    """An argument as float64; UsageError where it holds anything but real numbers."""
    try:
        array = np.asarray(given)
        if array.dtype.kind != "c":
            return array.astype(np.float64, copy=False)
    except (TypeError, ValueError):
        pass
    raise UsageError(f"{name} must be an array of real numbers")


def design_of_arrays(
    X: ArrayLike,
    contrasts: ArrayLike | Contrast | Sequence[Contrast],
    f_tests: Sequence[ArrayLike] | None,
    blocks: ArrayLike | None,
    variance_groups: ArrayLike | None,
) -> Design:
    """The arrays as a checked design, its columns and contrasts called by their numbers."""
    matrix = numbers("X", X)
    if matrix.ndim != 2:
        raise UsageError(f"X must be a matrix of subjects by columns, not of shape {matrix.shape}")
    columns = tuple(f"x{number}" for number in range(1, matrix.shape[1] + 1))
    check_design(matrix, columns)
    asked = _t_contrasts(contrasts, len(columns))
    asked += _f_tests(f_tests, asked)
    if not asked:
        raise UsageError("no contrasts and no F tests", remedy="give a row of weights a contrast")
    check_contrasts(matrix, columns, asked)
    tree = None if blocks is None else _labels("blocks", blocks, len(matrix))
    if tree is not None and tree.ndim == 1:
        tree = tree_from_column(tree, whole=False)
    elif tree is not None:
        tree = _whole_numbers("blocks of several levels", tree)
    groups = None
    if variance_groups is not None:
        labels = _labels("variance_groups", variance_groups, len(matrix))
        if labels.ndim != 1:
            raise UsageError(f"variance_groups must be one label a subject, not of shape {labels.shape}")
        names, groups, sizes = np.unique(labels, return_inverse=True, return_counts=True)
        groups = groups.astype(np.int64)
        if (sizes == 1).any():
            name = names[sizes == 1][0]
            raise UsageError(
                f"variance group {name} has one subject, who has no variance", remedy="join it with another"
            )
    return Design(matrix, columns, asked, blocks=tree, variance_groups=groups)


def check_values(values: NDArray[np.float64], design: Design) -> None:
    """UsageError unless the values are maps of the design's subjects."""
    if values.ndim != 2 or not values.size:
        raise UsageError(f"Y must be a matrix of subjects by features, not of shape {values.shape}")
    if len(values) != len(design.matrix):
        raise UsageError(f"Y has {len(values)} rows, X has {len(design.matrix)}", remedy="one row a subject in both")


def threads_of(n_jobs: Any) -> int:
    """How many threads `n_jobs` asks for; −1 is one a core."""
    if not isinstance(n_jobs, Integral) or (n_jobs < 1 and n_jobs != -1):
        raise UsageError(f"n_jobs {n_jobs!r} is not possible", remedy="1 or more threads, or -1 for all cores")
    return usable_cores() if n_jobs == -1 else int(n_jobs)


def check_permutations(permutations: Any, design: Design, options: InferenceOptions) -> PermutationSet:
    """The set itself; UsageError where it is none, is of other subjects or blocks, or flips signs unasked."""
    if not isinstance(permutations, PermutationSet):
        raise UsageError(
            f"permutations must be a PermutationSet, not {type(permutations).__name__}",
            remedy="for a number of them say n_perm",
        )
    if permutations.n_rows != len(design.matrix):
        raise UsageError(f"permutations of {permutations.n_rows} subjects, X has {len(design.matrix)}")
    if design.blocks is not None and permutations.tree != block_tree(design.blocks, permutations.n_rows):
        # what blocks keep in place is taken out of the values, and must not come back
        raise UsageError("these permutations were made for other blocks", remedy="give the same, or no blocks here")
    if not options.sign_flip and (permutations.sign_flip or permutations.signs is not None):
        raise UsageError("these permutations flip signs", remedy="say sign_flip=True if errors are symmetric")
    return permutations


def neighbours_of(
    adjacency: Any, cluster_adjacency: Any, options: InferenceOptions, n_features: int
) -> tuple[Neighbours | None, Neighbours | None]:
    """Over whom maps are enhanced, and over whom clusters are formed; None where nothing asks for it.

    Raises
    ------
    NumericsError
        A matrix that is not sparse, square and symmetric.
    UsageError
        Neighbours that are needed and not given, or of another number of features.
    """
    around = _neighbours("adjacency", adjacency, n_features)
    touching = around if cluster_adjacency is None else _neighbours("cluster_adjacency", cluster_adjacency, n_features)
    if (options.tfce and around is None) or (options.cluster_threshold is not None and touching is None):
        raise UsageError("tfce and cluster_threshold need adjacency", remedy="say which features touch")
    return around, touching


def _t_contrasts(given: ArrayLike | Contrast | Sequence[Contrast], n_columns: int) -> tuple[Contrast, ...]:
    listed = [given] if isinstance(given, Contrast) else list(given) if isinstance(given, Sequence) else []
    records = tuple(one for one in listed if isinstance(one, Contrast))
    if records and len(records) == len(listed):
        return records
    weights = np.atleast_2d(numbers("contrasts", given))
    if not weights.size:
        return ()  # F tests only
    if weights.ndim != 2 or weights.shape[1] != n_columns:
        raise UsageError(f"contrasts of shape {weights.shape}, X has {n_columns} columns", remedy="a row a contrast")
    return tuple(Contrast(f"c{c}", f"c{c}", row[None], "t") for c, row in enumerate(weights, start=1))


def _f_tests(given: Any, before: tuple[Contrast, ...]) -> tuple[Contrast, ...]:
    """F tests by their weights, or by which of the contrasts of one row they test together."""
    if not isinstance(given, Sequence | np.ndarray | None):
        raise UsageError("f_tests must be a list of F tests", remedy="give the rows of weights of each")
    singles = [contrast.weights[0] for contrast in before if contrast.kind == "t"]
    asked = []
    for number, test in enumerate(() if given is None else given, start=len(before) + 1):
        rows = numbers("f_tests", test)
        if rows.shape == (len(singles),) and np.isin(rows, (0, 1)).all():
            if not rows.any():
                raise UsageError(f"F test c{number} names no contrast")
            rows = np.stack([row for row, named in zip(singles, rows, strict=True) if named])
        asked.append(Contrast(f"c{number}", f"c{number}", np.atleast_2d(rows), "f"))
    return tuple(asked)


def _labels(name: str, given: ArrayLike, n_subjects: int) -> NDArray[Any]:
    labels = np.asarray(given)
    if not labels.ndim or len(labels) != n_subjects:
        raise UsageError(f"{name} has {labels.size if labels.ndim < 2 else len(labels)} rows, X has {n_subjects}")
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        raise UsageError(f"{name} holds NaN or Inf", remedy="give every subject a label")
    return labels


def _whole_numbers(name: str, labels: NDArray[Any]) -> NDArray[np.int64]:
    found = numbers(name, labels)
    if (found != np.rint(found)).any():
        raise UsageError(f"{name} must be whole numbers")
    return found.astype(np.int64)


def _neighbours(name: str, adjacency: Any, n_features: int) -> Neighbours | None:
    """Neighbours as they are, or of a SciPy sparse matrix: symmetric, without itself."""
    known = adjacency is None or isinstance(adjacency, Neighbours)
    found: Neighbours | None = adjacency if known else from_sparse(adjacency)
    if found is not None and len(found.sizes) != n_features:
        raise UsageError(f"{name} of {len(found.sizes)} features, Y has {n_features}")
    return found
