"""The loops of a permutation test, compiled once before workers start: each would compile the same ones, in silence."""

from collections.abc import Iterator
from dataclasses import replace
from types import ModuleType

import numpy as np

from thalgpu.engine.inference.blocks import Problem, prepare_test, run_block
from thalgpu.engine.inference.model import InferenceOptions, Neighbours, Part
from thalgpu.engine.progress import Event, Progress
from thalgpu.kernels import clusters, glm, tfce
from thalgpu.kernels._compiled import loops_of

_N_FEATURES = 64


def compile_loops(problem: Problem, progress: Progress) -> None:
    """Make sure that machine code of the loops that a problem needs is where workers find it; a note if it is made now.

    A few random features take the way of the real ones, so that every loop is called with arguments of the same types.
    """
    loops = [loops_of(module) for module in _modules(problem.options)]
    if all(any(one.is_kept() for one in of_module) for of_module in loops):
        return
    if any(one.cache_folder() is None for of_module in loops for one in of_module):
        progress(Event("note", "compiling loops in every worker: no folder to keep them in can be written"))
        return
    progress(Event("note", "compiling loops, once after an installation"))
    run_block(prepare_test(few_features(problem)), 0, 1)


def few_features(problem: Problem) -> Problem:
    """The same test of some random numbers, each of which touches the next."""
    values = np.random.default_rng(0).standard_normal((len(problem.values), _N_FEATURES))
    return replace(
        problem,
        values=values,
        parts=(Part("", 0, _N_FEATURES),),
        neighbours=_in_a_row(problem.neighbours),
        cluster_neighbours=_in_a_row(problem.cluster_neighbours),
    )


def _modules(options: InferenceOptions) -> Iterator[ModuleType]:
    yield glm
    if options.tfce:
        yield tfce
    if options.cluster_threshold is not None:
        yield clusters


def _in_a_row(neighbours: tuple[Neighbours | None, ...]) -> tuple[Neighbours | None, ...]:
    """Features that touch the next, where those of the problem touch any."""
    known = next((one for one in neighbours if one is not None), None)
    if known is None:
        return (None,)
    pairs = np.column_stack([np.arange(_N_FEATURES) - 1, np.arange(_N_FEATURES) + 1])
    inside = (pairs >= 0) & (pairs < _N_FEATURES)
    indptr = np.concatenate([[0], inside.sum(axis=1).cumsum()]).astype(np.int32)
    return (replace(known, indptr=indptr, indices=pairs[inside].astype(np.int32), sizes=np.ones(_N_FEATURES)),)
