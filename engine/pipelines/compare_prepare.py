"""Before any permutation of group gradients: pair subjects, choose a path by a pilot, plan."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from thalgpu.engine.comparison.blocks import Study
from thalgpu.engine.comparison.covariates import check_degrees, covariate_remarks
from thalgpu.engine.comparison.direct import solve_direct
from thalgpu.engine.comparison.labels import Comparison
from thalgpu.engine.comparison.pilot import Choice, choose_path
from thalgpu.engine.comparison.pooled import pool
from thalgpu.engine.config import config_key
from thalgpu.engine.gradients.signs import fix_signs
from thalgpu.engine.inference.adjacency import volume_neighbours
from thalgpu.engine.inputs.model import Region
from thalgpu.engine.outputs.locks import check_is_ours
from thalgpu.engine.pipelines.affinities import (
    AffinityFiles,
    common_voxels,
    find_affinities,
    n_voxels_of,
    read_stack,
    thalamus_of,
)
from thalgpu.engine.pipelines.compare_groups import Groups, plan_comparisons, read_groups
from thalgpu.engine.pipelines.compare_request import CompareRequest, check_compare_request
from thalgpu.engine.pipelines.remarks import collect_remarks
from thalgpu.engine.plan import ComparePlan, plan_compare
from thalgpu.errors import UsageError


@dataclass(frozen=True)
class Embedded:
    """One embedding to compare: both thalami together, or one of them.

    Attributes
    ----------
    hemisphere : "L", "R" or "".
    study : what is asked of which affinities.
    choice : the path, and why.
    region : where the voxels lie.
    records : of the subjects, in order.
    voxels : (n_all,) bool, those of the thalamus that every subject covers.
    key : identity of the study: inputs and options.
    """

    hemisphere: str
    study: Study
    choice: Choice
    region: Region
    records: tuple[Path, ...]
    voxels: NDArray[np.bool_]
    key: str


@dataclass(frozen=True)
class ComparePrepared:
    """A checked request.

    Attributes
    ----------
    groups : who is compared.
    embeddings : one, or the left and the right thalamus.
    plan : sizes, workers, memory.
    warnings : remarks on subjects, design and permutations.
    """

    groups: Groups
    embeddings: tuple[Embedded, ...]
    plan: ComparePlan
    warnings: tuple[str, ...]


def prepare_compare(request: CompareRequest) -> ComparePrepared:
    """Read and check everything, and try a few permutations; nothing is written.

    Raises
    ------
    InputError, NumericsError, UsageError
        When records, table or options cannot be used.
    ResourceError
        When one worker does not fit into memory.
    """
    check_compare_request(request)
    check_is_ours(request.out)
    files = find_affinities(request.gradients)
    with collect_remarks() as remarks:
        groups, told = read_groups(request, files)
    chosen = plan_comparisons(request, groups)
    about = [] if groups.covariates is None else list(covariate_remarks(chosen, groups.covariates))
    plan = plan_compare(
        n_subjects=len(groups.ids),
        n_voxels=max(n_voxels_of(next(iter(one.records.values()))) for one in files),
        n_components=files[0].recipe.n_components,
        n_perm=max(one.permutations.n_perm for one in chosen),
        n_comparisons=len(chosen) * len(files),
        workers=request.workers,
        memory=request.memory,
    )
    with threadpool_limits(1):
        embeddings = tuple(_embedded(request, one, groups, chosen) for one in files)
    words = [one.permutations.description for one in chosen if one.permutations.n_perm < 20]
    return ComparePrepared(groups, embeddings, plan, (*remarks, *told, *about, *words))


def _embedded(
    request: CompareRequest, files: AffinityFiles, groups: Groups, chosen: tuple[Comparison, ...]
) -> Embedded:
    records = tuple(files.records[label] for label in groups.ids)
    voxels, contents = common_voxels(records)
    region = thalamus_of(records[0], voxels)
    stack = read_stack(records, voxels)
    if request.options.tfce and region.ijk is None:
        raise UsageError("--tfce needs a thalamus made of voxels", remedy="leave it out")
    neighbours = None
    if region.ijk is not None:
        neighbours = volume_neighbours(region.ijk, request.tfce_connectivity)
    empty = np.zeros((len(region.flat), files.recipe.n_components))
    study = Study(
        stack,
        files.recipe,
        None,
        empty,
        empty,
        files.n_align,
        chosen,
        groups.covariates,
        neighbours,
        request.options,
        "reduced",
        request.eig_tol,
        (),
        (),
        (),
    )
    wanted = None if request.path == "auto" else request.path
    if study.covariates is not None and study.recipe.graph == "dense" and study.recipe.approach != "pca":
        check_degrees(study)
    study = _with_template(study)
    study, choice = choose_path(study, partial(pool, stack, files.recipe), wanted)
    key = config_key(
        [contents, groups.sha256, groups.labels, groups.ids, groups.covariate_names, choice.path, choice.rank],
        [study.eig_tol, study.n_align, request.covariates, request.blocks, request.whole, request.tfce_connectivity],
        [vars(study.options), vars(study.recipe), [one.permutations.fingerprint for one in chosen]],
    )
    return Embedded(files.hemisphere, study, choice, region, records, voxels, key)


def _with_template(study: Study) -> Study:
    """The study with the gradients of all subjects' mean, which groups are aligned to."""
    everybody = solve_direct(study.stack, np.full((1, len(study.stack)), 1 / len(study.stack)), study.recipe)
    template = fix_signs(everybody.gradients[0].astype(np.float64))
    return replace(study, template=template, subspace=everybody.vectors[0].astype(np.float64))
