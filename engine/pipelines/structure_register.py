"""Surfaces of label images get the vertices of a template: the template, and the task that brings it onto one."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from thalgpu.engine.config import config_key
from thalgpu.engine.outputs.store import DatasetSpec, Record, read_record, write_record
from thalgpu.engine.outputs.structure_names import SIDES, Side, measure_record, registered_record
from thalgpu.engine.pipelines.ledger import Ledger, Stamp, stamps
from thalgpu.engine.pipelines.structure_meshes import read_closed_mesh
from thalgpu.engine.pipelines.structure_sources import HEMISPHERES
from thalgpu.engine.pipelines.structure_subject import RESULT_VERSION, Measured
from thalgpu.engine.pipelines.verified import find_verified
from thalgpu.engine.structure.alignment import ShapeAlignment
from thalgpu.engine.structure.mesh_geometry import outward_faces
from thalgpu.engine.structure.meshing import mesh_of_average
from thalgpu.engine.structure.registration import RegisteredMesh, register_template

_POINTS, _FACES = DatasetSpec("float64", (None, 3)), DatasetSpec("int64", (None, 3))


@dataclass(frozen=True)
class TemplateMesh:
    """A mesh whose vertices all subjects get: (n_vertices, 3) mm, (n_faces, 3) and the SHA-256 of both."""

    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]
    key: str


@dataclass(frozen=True)
class RegisterTask:
    """One person's surfaces, the templates that are brought onto them, and what is removed of position and size."""

    participant_id: str
    surfaces_key: str
    templates: Mapping[Side, TemplateMesh]
    alignment: ShapeAlignment
    out: Path

    @property
    def words(self) -> str:
        """What to call it in the progress."""
        return f"sub-{self.participant_id}"

    @property
    def key(self) -> str:
        """Identity of the registered meshes."""
        templates = [self.templates[side].key for side in SIDES]
        return config_key(RESULT_VERSION, "registered", self.alignment, self.surfaces_key, templates)


@dataclass(frozen=True)
class Registered:
    """Registered meshes that are on disk, verified.

    Attributes
    ----------
    participant_id : without "sub-".
    record, key, told, seconds, stamp : as of `Measured`; there is nothing that is told.
    """

    participant_id: str
    record: Path
    key: str
    told: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    stamp: Stamp | None = None


def make_templates(
    given: Mapping[Side, Path | None], surfaces: Sequence[Measured], out: Path
) -> dict[Side, TemplateMesh]:
    """The meshes that a user gives, or the surface of the average of all subjects' label images.

    Raises
    ------
    InputError
        For a given mesh that cannot be read.
    """
    templates: dict[Side, TemplateMesh] = {}
    for side in SIDES:
        path = given[side]
        if path is not None:
            mesh = read_closed_mesh(path, HEMISPHERES[side])
            vertices, faces = mesh.coordinates, mesh.faces
        else:
            vertices, faces = _average([_read_voxels(out, one.task.participant_id, side) for one in surfaces])
        faces = outward_faces(vertices, faces)
        digest = hashlib.sha256(np.ascontiguousarray(vertices).tobytes() + faces.tobytes()).hexdigest()
        templates[side] = TemplateMesh(vertices, faces, digest)
    return templates


def find_registered(task: RegisterTask, ledger: Ledger) -> Registered | None:
    """The person's registered meshes when they are on disk and made from these surfaces and templates."""
    path, key = registered_record(task.out, task.participant_id), task.key
    found = find_verified(ledger, path, key, lambda _: {})
    return None if found is None else Registered(task.participant_id, path, key)


def run_register(task: RegisterTask) -> Registered:
    """Register both sides and write the record; one BLAS thread, so that bits do not depend on the workers."""
    started = time.perf_counter()
    datasets: dict[str, NDArray[Any]] = {}
    residuals: dict[str, list[float]] = {}
    path = measure_record(task.out, task.participant_id, "shape")
    with threadpool_limits(1):
        for side, template in task.templates.items():
            stored = read_record(path, {f"{side}/coordinates": _POINTS, f"{side}/faces": _FACES}).datasets
            mesh = register_template(
                template.vertices, template.faces, stored[f"{side}/coordinates"], stored[f"{side}/faces"]
            )
            datasets |= {f"{side}/coordinates": _aligned(mesh, task.alignment), f"{side}/faces": template.faces}
            residuals[side] = [mesh.residual_mean, mesh.residual_max]
    attributes = {"participant_id": task.participant_id, "residual_mm": residuals}
    path, key = registered_record(task.out, task.participant_id), task.key
    write_record(path, datasets, attributes, key=key)
    (stamp,) = stamps([path])
    return Registered(task.participant_id, path, key, seconds=time.perf_counter() - started, stamp=stamp)


def _aligned(mesh: RegisteredMesh, alignment: ShapeAlignment) -> NDArray[np.float64]:
    """Vertices without what the alignment removes, by the registration's own pose and scale."""
    if alignment == "none":
        return mesh.vertices
    if alignment == "rigid":
        return mesh.posed
    centre = mesh.posed.mean(axis=0)
    same_size: NDArray[np.float64] = (mesh.posed - centre) / mesh.scale + centre
    return same_size


def read_meshes(path: Path) -> tuple[dict[Side, tuple[NDArray[np.float64], NDArray[np.int64]]], Record]:
    """Side → vertices and faces of a record, as far as it has them, and the record's attributes."""
    listed = read_record(path, {}).attributes["datasets"]
    wanted: dict[str, DatasetSpec] = {}
    for side in SIDES:
        if f"{side}/coordinates" in listed:
            wanted |= {f"{side}/coordinates": _POINTS, f"{side}/faces": _FACES}
    record = read_record(path, wanted)
    meshes = {
        side: (record.datasets[f"{side}/coordinates"], record.datasets[f"{side}/faces"])
        for side in SIDES
        if f"{side}/coordinates" in wanted
    }
    return meshes, record


def _read_voxels(out: Path, participant_id: str, side: Side) -> tuple[NDArray[np.float64], float]:
    """(n_voxels, 3) mm of one thalamus, and the volume of a voxel."""
    expected = {f"{side}/voxels": DatasetSpec("int32", (None, 3)), "affine": DatasetSpec("float64", (4, 4))}
    stored = read_record(measure_record(out, participant_id, "shape"), expected).datasets
    affine = stored["affine"]
    places = stored[f"{side}/voxels"] @ affine[:3, :3].T + affine[:3, 3]
    return places, float(abs(np.linalg.det(affine[:3, :3])))


def _average(
    thalami: Sequence[tuple[NDArray[np.float64], float]],
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    return mesh_of_average([places for places, _ in thalami], [volume for _, volume in thalami])
