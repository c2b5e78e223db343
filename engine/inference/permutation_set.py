"""The permutations of a test: drawn by number, all that there are, or from a file."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.inference.block_tree import Block, block_tree, flip_units, keeps_blocks
from thalgpu.engine.inference.exchangeability import (
    count_flips,
    count_permutations,
    draw_flips,
    draw_permutations,
    enumerate_flips,
    enumerate_permutations,
    in_words,
    told_apart,
)
from thalgpu.engine.inference.model import Contrast, Design, InferenceOptions
from thalgpu.engine.inference.words import quoted
from thalgpu.errors import InputError, NumericsError, UsageError

MOST_EXHAUSTIVE = 10_000_000
"""Permutations that are all taken when the user names no number."""


@dataclass(frozen=True, eq=False)
class PermutationSet:
    """Permutations 0 … n_perm − 1 of a test, of which number 0 is the identity; small, and the same in every process.

    Attributes
    ----------
    n_perm : how many, the identity included.
    n_rows : subjects.
    source : "random", "exhaustive" (every different permuted design once), or "file".
    description : how many are possible and how many are taken, in words.
    tree : who may be exchanged.
    sign_flip : signs are flipped, and nobody is exchanged; says nothing of a file.
    seed : of random ones.
    ties : (n_rows,) int64 labels of rows that count as equal; exhaustive permutations only.
    permutations, signs : (n_perm, n_rows) int32, and int8 or None; from a file only.
    """

    n_perm: int
    n_rows: int
    source: Literal["random", "exhaustive", "file"]
    description: str
    tree: Block
    sign_flip: bool = False
    seed: int | None = None
    ties: NDArray[np.int64] | None = None
    permutations: NDArray[np.int32] | None = None
    signs: NDArray[np.int8] | None = None

    @property
    def fingerprint(self) -> str:
        """Equal for two sets if number i is the same in both, for every i: a part of a result's identity."""
        digest = hashlib.sha256(repr((self.n_perm, self.source, self.sign_flip, self.seed, self.tree)).encode())
        for array in (self.ties, self.permutations, self.signs):
            digest.update(b"none" if array is None else array.tobytes())
        return f"{self.source}-{digest.hexdigest()}"

    def rows(self, start: int, stop: int) -> tuple[NDArray[np.int32], NDArray[np.int8] | None]:
        """Make the permutations with the numbers start, …, stop − 1.

        Parameters
        ----------
        start, stop : 0 <= start <= stop <= n_perm.

        Returns
        -------
        permutations : (stop − start, n_rows) int32
            Row i of the permuted design is row p[i] of the design.
        signs : (stop − start, n_rows) int8, or None
            +1 and −1; None where nothing is flipped.

        Raises
        ------
        UsageError
            Numbers out of range.
        """
        if not 0 <= start <= stop <= self.n_perm:
            raise UsageError(f"permutations {start} to {stop} are not among the {self.n_perm} of this set")
        if self.permutations is not None:
            return self.permutations[start:stop], None if self.signs is None else self.signs[start:stop]
        if self.sign_flip:
            unmoved = np.tile(np.arange(self.n_rows, dtype=np.int32), (stop - start, 1))
            return unmoved, self._flips(start, stop)
        if self.ties is not None:
            return enumerate_permutations(self.tree, self.ties, start, stop), None
        drawn = draw_permutations(self.tree, self.seed or 0, start, stop)
        if start == 0 < stop:
            drawn[0] = np.arange(self.n_rows)
        return drawn, None

    def _flips(self, start: int, stop: int) -> NDArray[np.int8]:
        if self.source == "exhaustive":
            return enumerate_flips(self.tree, start, stop)
        drawn = draw_flips(self.tree, self.seed or 0, start, stop)
        if start == 0 < stop:
            drawn[0] = 1
        return drawn


def row_labels(design: Design, contrast: Contrast | None = None) -> NDArray[np.int64]:
    """Label the subjects by what is tested: those with equal labels are equal in every tested column.

    Parameters
    ----------
    design : the model.
    contrast : one of its contrasts; all of them when left out.

    Returns
    -------
    (n_rows,) int64
        Two rows share a label if they are equal in all columns to which a contrast gives weight: Guttman's partition,
        by which PALM counts too. The labels over all contrasts refine those of each, and divide each class of
        permuted designs of one contrast into equally many: a set for all contrasts serves each as its own would.
    """
    weights = np.vstack([one.weights for one in ([contrast] if contrast else design.contrasts)])
    return _labels(design.matrix[:, (weights != 0).any(axis=0)])


def interchangeable_rows(design: Design) -> NDArray[np.int64]:
    """Label the subjects by all that a statistic knows of them: whole rows of the design, and the variance group.

    Returns
    -------
    (n_rows,) int64
        Two subjects with one label can be exchanged without any statistic, of any contrast and method, changing: each
        depends on a permutation only through the permuted rows of tested and nuisance columns and the variance groups
        that go with them.

    Notes
    -----
    Nuisance variables tell subjects apart that are equal in what is tested: the tested part, made orthogonal to age,
    differs between two patients of different ages, and so does the statistic after they are exchanged. PALM lists each
    different order of the *tested* rows once even then, by the order that its algorithm meets first. Such a list is one
    representative of each coset of the group of permutations. It is neither a group nor a random sample of one, for
    which alone a permutation test is exact (Hemerik and Goeman 2018, doi:10.1007/s11749-017-0571-1; Southworth et al.
    2009, doi:10.1089/cmb.2008.0144, on how lists of chosen permutations reject too often). Three subjects against three
    with a falling nuisance variable, normal errors, one-sided t of Freedman and Lane: the first representatives of the
    20 classes reject 14 % of true hypotheses at .05, all 720 orders 5 %. Therefore, permutations are listed by these
    labels here: with a nuisance variable that differs between all subjects, only if all orders of the subjects are
    asked for; else they are drawn from the whole group, which is exact for any number of draws. Without such nuisance
    variables both labels agree, and the list is PALM's.
    """
    parts = [design.matrix] if design.variance_groups is None else [design.matrix, design.variance_groups[:, None]]
    return _labels(np.hstack(parts).astype(np.float64))


def plan_permutations(design: Design, options: InferenceOptions) -> PermutationSet:
    """Decide which permutations a test takes.

    Parameters
    ----------
    design : with its exchangeability blocks.
    options : `n_perm`, `seed` and `sign_flip` matter. All different ones are taken if `n_perm` is 0 or there are no
        more than `n_perm`; else `n_perm` are drawn, the identity first, with replacement.

    Returns
    -------
    PermutationSet

    Raises
    ------
    NumericsError
        The blocks make no tree (see `block_tree`); nobody may be exchanged, or all who may are equal in what one of the
        contrasts tests.
    UsageError
        `n_perm` is negative, or 0 when there are more than `MOST_EXHAUSTIVE`.
    """
    n_rows = len(design.matrix)
    tree = block_tree(design.blocks, n_rows)
    if options.n_perm < 0:
        raise UsageError(f"the number of permutations is {options.n_perm}", remedy="give 0 for all, or a positive one")
    aside = None
    if options.sign_flip:
        ties, possible, words = None, count_flips(tree), in_words(tree)
    else:
        _require_moved(design, tree)
        tested, ties = row_labels(design), interchangeable_rows(design)
        possible, words = count_permutations(tree, ties), in_words(tree, ties)
        aside = told_apart(tree, tested, ties, _what_tells_apart(design, tested))
    more = f". {aside}" if aside else ""
    if options.n_perm == 0 and possible > MOST_EXHAUSTIVE:
        remedy = "ask for a number of random ones, e.g. --n-perm 10000"
        raise UsageError(f"too many permutations to take each once: {words}", remedy=remedy)
    if options.n_perm == 0 or possible <= options.n_perm:
        taken = f"{words}; all {possible:,} taken{more}"
        return PermutationSet(possible, n_rows, "exhaustive", taken, tree, options.sign_flip, ties=ties)
    taken = f"{words}; {options.n_perm:,} taken at random{more}"
    return PermutationSet(options.n_perm, n_rows, "random", taken, tree, options.sign_flip, seed=options.seed)


def permutations_from_file(signed: NDArray[np.int64], tree: Block, path: Path) -> PermutationSet:
    """Make a set of permutations that somebody else has drawn.

    Parameters
    ----------
    signed : (n, n_rows) int64
        Each row a permutation of 1 … n_rows; entry i, v, says that row i of the permuted design is row |v| of the
        design, with its sign flipped if v < 0 (PALM's `permidx`, and what randomise writes, read in this way).
    tree : from `block_tree`, of the same subjects.
    path : the file, for the error.

    Returns
    -------
    PermutationSet
        The rows in order. The identity is put first unless it is there, as it is in the files of PALM and randomise:
        the unpermuted design always counts, and once if it stands further down.

    Raises
    ------
    InputError
        A row breaks the blocks: it moves somebody out of a block, or flips a part of one that flips as a whole.
    """
    permutations = (np.abs(signed) - 1).astype(np.int32)
    signs = np.where(signed < 0, -1, 1).astype(np.int8)
    broken = ~keeps_blocks(tree, permutations)
    for unit in flip_units(tree):
        broken |= (signs[:, unit] != signs[:, unit[:1]]).any(axis=1)
    if broken.any():
        number = int(broken.argmax()) + 1
        remedy = "give the blocks for which the permutations were drawn"
        raise InputError(path, "breaks the exchangeability blocks", at=f"permutation {number}", remedy=remedy)
    identity = np.arange(1, signed.shape[1] + 1)
    found = np.flatnonzero((signed == identity).all(axis=1))
    moved = found.size == 0 or found[0] != 0
    if moved:
        permutations = np.vstack([identity.astype(np.int32) - 1, np.delete(permutations, found[:1], axis=0)])
        signs = np.vstack([np.ones_like(signs, shape=(1, len(identity))), np.delete(signs, found[:1], axis=0)])
    permutations.setflags(write=False)
    signs.setflags(write=False)
    words = f"{len(permutations):,} permutations from {path.name}{', the identity put first' if moved else ''}"
    flipped = signs if (signs < 0).any() else None
    shape = len(permutations), len(identity)
    return PermutationSet(*shape, "file", words, tree, permutations=permutations, signs=flipped)


def _labels(rows: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)


def _what_tells_apart(design: Design, tested: NDArray[np.int64]) -> list[str]:
    """Columns, and variance groups, that differ between rows which are equal in what is tested."""
    about = list(zip(design.columns, design.matrix.T, strict=True))
    if design.variance_groups is not None:
        about.append(("variance groups", design.variance_groups.astype(np.float64)))
    n_tested = len(np.unique(tested))
    return [name for name, values in about if len(np.unique(np.column_stack([tested, values]), axis=0)) > n_tested]


def _require_moved(design: Design, tree: Block) -> None:
    """Refuse a contrast that every permutation leaves as it is, which others beside it do not."""
    for contrast in design.contrasts:
        labels = row_labels(design, contrast)
        if count_permutations(tree, labels) > 1:
            continue
        remedy = "flip signs (--sign-flip)" if len(design.contrasts) == 1 else "test it alone, with signs flipped"
        if tree.children or not tree.shuffled:
            remedy = f"change --blocks, or {remedy}"
        raise NumericsError(f"contrast {quoted(contrast.name)}: {in_words(tree, labels)}", remedy=remedy)
