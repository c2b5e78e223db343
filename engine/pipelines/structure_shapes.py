"""The group's shapes: meshes of one topology, their mean, displacement maps, and quality."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.outputs.sidecars import write_sidecar, write_table
from thalgpu.engine.outputs.structure_names import SIDES, STRUCTURES, Side, displacement_map, template_mesh
from thalgpu.engine.outputs.surfaces import write_shape, write_surface
from thalgpu.engine.outputs.vtk_mesh import write_vtk
from thalgpu.engine.pipelines.structure_register import read_meshes
from thalgpu.engine.pipelines.structure_request import ShapeQuality, StructureRequest, StructureResult
from thalgpu.engine.structure.group_shape import GroupShape, group_shape
from thalgpu.errors import InputError

_QC_COLUMNS = ("hemi", "procrustes_distance", "mean_displacement", "max_displacement", "residual_distance", "outlier")


@dataclass(frozen=True)
class SideGroup:
    """One side of the group: whose shapes, the result, and what registration left over (mm), where there was one."""

    ids: tuple[str, ...]
    shape: GroupShape
    residuals: tuple[float | None, ...]


def group_shapes(
    records: Mapping[str, Path], request: StructureRequest, failures: dict[str, Exception]
) -> dict[Side, SideGroup]:
    """Each side's mean shape and displacement.

    Parameters
    ----------
    records : participant → record with corresponding meshes, by id.
    failures : gets those whose mesh is missing or of another topology than most.
    """
    found: dict[Side, SideGroup] = {}
    meshes: dict[Side, dict[str, tuple[NDArray[np.float64], NDArray[np.int64]]]] = {side: {} for side in SIDES}
    residuals: dict[tuple[str, Side], float] = {}
    for who, path in records.items():
        own, record = read_meshes(path)
        for side, mesh in own.items():
            meshes[side][who] = mesh
        for side, (mean, _) in record.attributes.get("residual_mm", {}).items():
            residuals[who, side] = mean
    for side in SIDES:
        usable = _one_topology(meshes[side], records, side, failures)
        if not usable:
            continue
        ids = tuple(usable)
        faces = meshes[side][ids[0]][1]
        # registered meshes are aligned already, by their surfaces: their vertices may have slid along these
        alignment = "none" if any((who, side) in residuals for who in ids) else request.shape_alignment
        shape = group_shape(np.stack([usable[who] for who in ids]), faces, alignment=alignment, fwhm=request.smooth)
        found[side] = SideGroup(ids, shape, tuple(residuals.get((who, side)) for who in ids))
    return found


def write_shapes(
    groups: Mapping[Side, SideGroup], request: StructureRequest, result: StructureResult
) -> tuple[Path, ...]:
    """Displacement maps, templates and shape_qc.tsv; everything is noted in the result. The files written."""
    out = request.out
    written: list[Path] = []
    for side, group in groups.items():
        shape, structure = group.shape, STRUCTURES[side]
        maps = [
            write_shape(displacement_map(out, who, side), values, structure, "displacement")
            for who, values in zip(group.ids, shape.displacement, strict=True)
        ]
        surface = write_surface(template_mesh(out, side), shape.mean, shape.faces, structure)
        vtk = template_mesh(out, side, ".vtk")
        scalars = {"mean_absolute_displacement": np.abs(shape.displacement).mean(axis=0)}
        write_vtk(vtk, shape.mean, shape.faces, scalars)
        write_sidecar(template_mesh(out, side, ".json"), _about(group, request))
        result.displacement[side], result.templates[side] = maps, surface
        result.quality += _quality(side, group)
        written += [*maps, surface, vtk]
        if not shape.converged:
            result.warnings.append(f"the alignment of hemi-{side} did not settle: look at the meshes")
        if len(group.ids) < 3:
            result.warnings.append(f"the mean shape of hemi-{side} is that of {len(group.ids)} subjects only")
    if result.quality:
        result.shape_qc = out / "shape_qc.tsv"
        write_table(result.shape_qc, ["participant_id", *_QC_COLUMNS], [_qc_row(one) for one in result.quality])
        written.append(result.shape_qc)
    return tuple(written)


def _one_topology(
    meshes: Mapping[str, tuple[NDArray[np.float64], NDArray[np.int64]]],
    records: Mapping[str, Path],
    side: Side,
    failures: dict[str, Exception],
) -> dict[str, NDArray[np.float64]]:
    """Vertices of the subjects whose triangles are those of most; the others, and those without a mesh, have failed."""
    if not meshes or 2 * len(meshes) < len(records):  # a side that most lack is nobody's failure
        return {}
    topology = {who: (len(vertices), faces.tobytes()) for who, (vertices, faces) in meshes.items()}
    most = Counter(topology.values()).most_common(1)[0][0]  # the first of equally many
    usable: dict[str, NDArray[np.float64]] = {}
    for who, path in records.items():
        if who not in meshes:
            failures.setdefault(who, InputError(path, f"no mesh of hemi-{side}, where others have one"))
        elif topology[who] != most:
            failures.setdefault(who, _other_topology(path, side, topology[who][0], most[0]))
        else:
            usable[who] = meshes[who][0]
    return usable


def _other_topology(path: Path, side: Side, n_vertices: int, most: int) -> InputError:
    reason = f"a mesh of hemi-{side} with {n_vertices} vertices where others have {most}"
    if n_vertices == most:
        reason = f"a mesh of hemi-{side} with other triangles than the others'"
    return InputError(path, reason, remedy="its vertices do not correspond: give the mesh that FIRST wrote")


def _quality(side: Side, group: SideGroup) -> list[ShapeQuality]:
    away = np.abs(group.shape.displacement)
    return [
        ShapeQuality(
            participant_id=who,
            side=side,
            distance=float(group.shape.distances[k]),
            mean_displacement=float(away[k].mean()),
            max_displacement=float(away[k].max()),
            residual=group.residuals[k],
            outlier=bool(group.shape.outlying[k]),
        )
        for k, who in enumerate(group.ids)
    ]


def _qc_row(one: ShapeQuality) -> dict[str, object]:
    return {
        "participant_id": f"sub-{one.participant_id}",
        "hemi": one.side,
        "procrustes_distance": one.distance,
        "mean_displacement": one.mean_displacement,
        "max_displacement": one.max_displacement,
        "residual_distance": one.residual,
        "outlier": one.outlier,
    }


def _about(group: SideGroup, request: StructureRequest) -> dict[str, object]:
    return {
        "Description": "Mean shape of the thalamus; displacement is the signed distance from it along its normals, "
        "in mm, outward positive",
        "Alignment": request.shape_alignment,
        "SmoothingFWHM": request.smooth,
        "Subjects": [f"sub-{who}" for who in group.ids],
        "Vertices": len(group.shape.mean),
    }
