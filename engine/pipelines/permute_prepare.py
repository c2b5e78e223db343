"""Before any permutation: read maps and design, pair subjects, plan, and say what would be done."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from thalgpu.engine.cluster.devices import choose_gpus
from thalgpu.engine.inference.block_tree import block_tree
from thalgpu.engine.inference.blocks import Problem
from thalgpu.engine.inference.invariants import against_zero
from thalgpu.engine.inference.model import Design, Neighbours, Part, Tail
from thalgpu.engine.inference.permutation_set import PermutationSet, permutations_from_file, plan_permutations
from thalgpu.engine.inference.regression import prepare_model
from thalgpu.engine.inference.stretches import stretches
from thalgpu.engine.inference.table_design import design_from_table
from thalgpu.engine.inference.words import listed
from thalgpu.engine.inputs.checked import read_bytes
from thalgpu.engine.inputs.design_table import match_subjects, read_design_table
from thalgpu.engine.inputs.fsl_design import design_from_files
from thalgpu.engine.inputs.map_neighbours import mesh_files, neighbours_of
from thalgpu.engine.inputs.model import Region
from thalgpu.engine.inputs.permutation_files import read_permutations
from thalgpu.engine.inputs.regions import read_region
from thalgpu.engine.inputs.subject_maps import MapStack, SubjectMaps, settle_all
from thalgpu.engine.outputs.locks import check_is_ours
from thalgpu.engine.pipelines.nuclei import Nuclei, match_nuclei
from thalgpu.engine.pipelines.permute_request import PermuteRequest, check_permute_request
from thalgpu.engine.pipelines.remarks import collect_remarks
from thalgpu.engine.pipelines.subject_maps import read_subject_maps
from thalgpu.engine.plan import PermutePlan, plan_permute
from thalgpu.errors import InputError, ThalgpuWarning, UsageError

_FEW, _FEW_FOR_A_TAIL = 20, 100


@dataclass(frozen=True)
class PermutePrepared:
    """A checked request.

    Attributes
    ----------
    maps : one a part of the problem, with the subjects of the design only.
    problem : the test.
    atlas : nuclei of each part's features, or None.
    plan : sizes, workers, memory.
    warnings : remarks on maps, design and permutations.
    sha256 : file → SHA-256 (hex) of every file read.
    vertex_areas : vertices count by their mm².
    """

    maps: tuple[SubjectMaps, ...]
    problem: Problem
    atlas: tuple[Nuclei | None, ...]
    plan: PermutePlan
    warnings: tuple[str, ...]
    sha256: dict[Path, str]
    vertex_areas: bool


def prepare_permute(request: PermuteRequest) -> PermutePrepared:
    """Read and check everything; nothing is written.

    Raises
    ------
    InputError, NumericsError, UsageError
        When maps, design, blocks or options cannot be used.
    ResourceError
        When one worker does not fit into memory.
    """
    check_permute_request(request)
    check_is_ours(request.out)
    gpus = choose_gpus(request.gpus, request.scheduler)
    with collect_remarks() as remarks:
        stacks = read_subject_maps(request.maps, components=request.component, mask=request.mask)
        design, rows, hashes = _design(request, stacks[0])
    maps = settle_all(stacks, rows)
    parts = _parts(maps)
    values = np.hstack([one.values for one in maps])
    maps = tuple(
        replace(one, values=values[:, part.start : part.stop]) for one, part in zip(maps, parts, strict=True)
    )  # views: no second copy of everything
    permutations = _permutations(request, design)
    problem = Problem(
        values=values,
        design=design,
        permutations=permutations,
        options=replace(request.options, n_perm=permutations.n_perm) if request.permutations else request.options,
        parts=parts,
        neighbours=_neighbours(request, maps, request.tfce_connectivity),
        cluster_neighbours=_neighbours(request, maps, request.cluster_connectivity),
    )
    _check_models(problem)
    plan = plan_permute(
        n_subjects=len(rows),
        n_features=problem.values.shape[1],
        n_columns=design.matrix.shape[1],
        n_contrasts=len(design.contrasts),
        n_variances=len(set(design.variance_groups.tolist())) if design.variance_groups is not None else 1,
        n_perm=permutations.n_perm,
        n_blocks=len(stretches(permutations.n_perm)),
        stop_after=request.options.stop_after,
        workers=request.workers,
        memory=request.memory,
        gpus=gpus,
    )
    told = (
        *remarks,
        *design.remarks,
        *_means(design, permutations),
        *_few(permutations, request.options.tail),
        *_left_out(maps),
    )
    sources = {path: digest for one in maps for path, digest in one.sources.items()} | hashes
    return PermutePrepared(maps, problem, _atlas(request, maps), plan, told, sources, request.vertex_areas)


def _design(request: PermuteRequest, maps: MapStack) -> tuple[Design, Sequence[int], dict[Path, str]]:
    """The design, and which rows of the maps are its subjects, in its order."""
    if request.formula is None:
        return _design_of_files(request, maps)
    table = read_design_table(request.design)
    hashes = {request.design: table.sha256}
    ids = maps.ids
    if ids is None:
        ids = _ids_by_order(len(maps.rows), table.ids, request.design)
    matched = match_subjects(ids, table, request.missing)
    # in the table's order, which a file of permutations means, and which does not depend on how the maps are named
    rows = matched.table.rows(np.argsort([table.ids.index(one) for one in matched.table.ids]).tolist())
    design = design_from_table(
        rows.columns,
        rows.ids,
        request.formula,
        request.contrast,
        request.f_test,
        demean=request.demean,
        blocks=tuple(name.strip() for name in request.blocks.split(",")) if request.blocks else None,
        whole=request.whole,
        variance_groups=request.variance_groups,
        missing=request.missing,
    )
    row_of = dict(zip(matched.table.ids, matched.maps, strict=True))
    design = replace(design, remarks=(*matched.remarks, *design.remarks))
    return design, [row_of[one] for one in design.ids or ()], hashes


def _ids_by_order(n_maps: int, ids: tuple[str, ...], path: Path) -> tuple[str, ...]:
    """Maps without names are those of the table's rows, in their order, if there are as many."""
    if n_maps != len(ids):
        raise InputError(
            path,
            f"{len(ids)} rows for {n_maps} maps that name no participants",
            remedy="give one row a map, in the same order",
        )
    warnings.warn(
        "the maps name no participants: their order is taken to be that of the table's rows",
        ThalgpuWarning,
        stacklevel=2,
    )
    return ids


def _design_of_files(request: PermuteRequest, maps: MapStack) -> tuple[Design, Sequence[int], dict[Path, str]]:
    assert request.contrasts is not None  # the request was checked
    blocks, groups = (Path(text) if text else None for text in (request.blocks, request.variance_groups))
    design = design_from_files(
        request.design, request.contrasts, request.f_tests, blocks=blocks, whole=request.whole, variance_groups=groups
    )
    files = (request.design, request.contrasts, request.f_tests, blocks, groups)
    hashes = {path: read_bytes(path).sha256 for path in files if path is not None}
    n_maps, n_rows = len(maps.rows), len(design.matrix)
    if design.ids is not None and maps.ids is not None:
        return design, _rows_of(design.ids, maps.ids, request.design), hashes
    if n_maps != n_rows:
        raise InputError(
            request.design, f"{n_rows} rows for {n_maps} maps", remedy="give one row a map, in the same order"
        )
    return replace(design, ids=maps.ids), range(n_rows), hashes


def _rows_of(wanted: Sequence[str], given: Sequence[str], path: Path) -> list[int]:
    without_map, without_row = sorted(set(wanted) - set(given)), sorted(set(given) - set(wanted))
    if without_map or without_row:
        raise InputError(
            path,
            f"rows without maps: {listed(without_map) or 'none'}; maps without rows: {listed(without_row) or 'none'}",
            remedy="give the same participants in both",
        )
    return [given.index(one) for one in wanted]


def _permutations(request: PermuteRequest, design: Design) -> PermutationSet:
    if request.permutations is None:
        return plan_permutations(design, request.options)
    tree = block_tree(design.blocks, len(design.matrix))
    found = permutations_from_file(
        read_permutations(request.permutations, len(design.matrix)), tree, request.permutations
    )
    rows, signs = found.rows(0, found.n_perm)
    if signs is None and (rows == rows[0]).all():  # the first is the identity
        raise InputError(request.permutations, "no permutation but the identity", remedy="give more of them")
    return found


def _parts(maps: Sequence[SubjectMaps]) -> tuple[Part, ...]:
    ends = np.cumsum([one.values.shape[1] for one in maps]).tolist()
    return tuple(Part(one.name, start, stop) for one, start, stop in zip(maps, [0, *ends[:-1]], ends, strict=True))


def _neighbours(
    request: PermuteRequest, maps: Sequence[SubjectMaps], connectivity: int
) -> tuple[Neighbours | None, ...]:
    """Who touches whom in each part; parts on the same features share one answer."""
    needed = request.options.tfce or request.options.cluster_threshold is not None
    meshes = mesh_files(request.surface)
    if meshes and any(one.space is None for one in maps):
        raise UsageError("--surface is the mesh of surface maps", remedy="leave it out for arrays and tables")
    found: dict[bytes, Neighbours | None] = {}
    for one in maps:
        if one.space is None and needed:
            raise UsageError(
                "--tfce and --cluster-threshold need to know which features touch",
                where=str(request.maps[0]),
                remedy="give images, or leave them out",
            )
        place = _place(one)
        if place not in found:
            on_surface = one.space is not None and one.space.ijk is None
            skip = on_surface and not meshes and not needed  # without a mesh, clusters of peaks are single vertices
            found[place] = None if skip else neighbours_of(one.space, connectivity, meshes, areas=request.vertex_areas)
    return tuple(found[_place(one)] for one in maps)


def _place(maps: SubjectMaps) -> bytes:
    return b"" if maps.space is None else maps.space.flat.tobytes()


def _atlas(request: PermuteRequest, maps: Sequence[SubjectMaps]) -> tuple[Nuclei | None, ...]:
    if request.atlas is None:
        return (None,) * len(maps)
    found = []
    for one in maps:
        if one.space is None:
            raise UsageError("--atlas names places of images", remedy="leave it out for arrays and tables")
        atlas: Region = read_region(request.atlas, one.space.grid)
        found.append(match_nuclei(atlas, one.space))
    return tuple(found)


def _check_models(problem: Problem) -> None:
    """Whether every contrast can be tested in the way that is asked for; one feature tells as well as all."""
    flips = problem.options.sign_flip or problem.permutations.signs is not None
    for contrast in problem.design.contrasts:
        prepare_model(problem.values[:, :1], problem.design, contrast, problem.options.method, sign_flip=flips)


def _means(design: Design, permutations: PermutationSet) -> tuple[str, ...]:
    if permutations.sign_flip or permutations.signs is not None:
        return ()
    return tuple(
        f"{one.name} compares a mean with 0, not groups with each other: write a difference as 'a - b', or test one "
        "sample with --sign-flip"
        for one in against_zero(design)
    )


def _few(permutations: PermutationSet, tail: Tail) -> tuple[str, ...]:
    if permutations.n_perm >= (_FEW if tail == "none" else _FEW_FOR_A_TAIL):
        return ()
    if tail != "none":
        return (f"a tail is fitted to {permutations.n_perm} permutations: trust it with {_FEW_FOR_A_TAIL} or more",)
    return (f"with {permutations.n_perm} permutations no p-value can be below {1 / permutations.n_perm:.3g}",)


def _left_out(maps: Sequence[SubjectMaps]) -> list[str]:
    """What is not tested, of each measure that has some."""
    said = []
    for one in maps:
        why = "are not covered in every subject, or are constant" if one.space is not None else "are constant"
        if one.n_left_out:
            said.append(f"{one.name or 'maps'}: {one.n_left_out} of {one.n_source} features {why}, and are not tested")
    return said
