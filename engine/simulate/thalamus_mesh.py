"""Thalamus surfaces with vertex correspondence: a population's shape, people's own, and a group's difference."""

from dataclasses import dataclass
from functools import cache
from typing import Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.simulate.anatomy import THALAMUS_CENTRE, fibonacci_sphere
from thalgpu.engine.simulate.random_streams import Purpose, smooth_fields, stream

Side: TypeAlias = Literal["left", "right"]

SIDES: Final[tuple[Side, ...]] = ("left", "right")
N_MESH_VERTICES: Final = 642
MESH_VOLUME: Final = 7600.0  # mm³ of the population's shape
DEVIATION: Final = 0.5  # mm, SD of a person's smooth deviation along the normals
DEVIATION_LENGTH: Final = 7.0  # mm over which it varies
SHARED: Final = 0.8  # correlation of left and right deviations
TILT: Final = 3.0  # degrees, SD of the head's rotation about each axis
SHIFT: Final = 1.5  # mm, SD of its translation
SEGMENTATION_ERROR: Final = 0.02  # of the volume: meshes and voxel counts never agree exactly

FLATTENED: Final = 16.0  # mm from the posterior pole to where a group's difference has faded to six tenths


@dataclass(frozen=True)
class Mesh:
    """A closed triangle mesh.

    Attributes
    ----------
    vertices : (n_vertices, 3) float64, mm, right-anterior-superior.
    faces : (n_faces, 3) int64, counterclockwise seen from outside.
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]

    @property
    def volume(self) -> float:
        """mm³ inside."""
        a, b, c = (self.vertices[self.faces[:, corner]] for corner in range(3))
        return float(np.einsum("ij,ij->", a, np.cross(b, c)) / 6.0)

    def normals(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(n_vertices, 3) outward unit normals, and (n_vertices,) areas in mm²: a third of each face to each corner."""
        a, b, c = (self.vertices[self.faces[:, corner]] for corner in range(3))
        normal, area = np.zeros_like(self.vertices), np.zeros(len(self.vertices))
        cross = np.cross(b - a, c - a) / 2.0
        for corner in range(3):
            np.add.at(normal, self.faces[:, corner], cross)
            np.add.at(area, self.faces[:, corner], np.linalg.norm(cross, axis=1) / 3.0)
        return normal / np.linalg.norm(normal, axis=1, keepdims=True), area


@cache
def population_mesh(side: Side) -> Mesh:
    """The population's thalamus: an egg with a broad posterior end that lies lateral, and a flat medial face.

    Both sides have N_MESH_VERTICES vertices, which are mirror images one by one.
    """
    if side == "left":
        right = population_mesh("right")
        return Mesh(right.vertices * [-1.0, 1.0, 1.0], right.faces[:, ::-1].copy())
    unit = fibonacci_sphere(N_MESH_VERTICES)
    mesh = Mesh(_egg(unit), _faces(unit))
    scale = np.cbrt(MESH_VOLUME / mesh.volume)
    return Mesh(THALAMUS_CENTRE + scale * (mesh.vertices - mesh.vertices.mean(axis=0)), mesh.faces)


def planted_displacement(effect: float) -> NDArray[np.float64]:
    """(N_MESH_VERTICES,) mm along the outward normals that a group's shape differs by; the same on both sides.

    The posterior half is flatter: its upper and lower faces lie `effect` further in, the medial and lateral ones as
    much further out as gives the volume back. So neither volume nor place nor direction differs, but the shape, and
    rigid alignment leaves 99 % of it.
    """
    mesh = population_mesh("right")
    normal, area = mesh.normals()
    from_pole = mesh.vertices[:, 1] - mesh.vertices[:, 1].min()
    here = np.exp(-((from_pole / FLATTENED) ** 4) / 2.0)
    inward, outward = here * normal[:, 2] ** 2, here * normal[:, 0] ** 2
    balanced = outward * (area @ inward) / (area @ outward) - inward
    return np.asarray(effect * balanced / -balanced.min())


def person_mesh(seed: int, index: int, side: Side, *, volume: float, effect: float = 0.0) -> Mesh:
    """One person's thalamus as FSL FIRST would fit it: another shape, size and place, the same vertices.

    Parameters
    ----------
    seed, index : of the cohort, of the person.
    side : "left" or "right"; their deviations correlate, and the head's rotation and translation is one.
    volume : mm³ of this thalamus; the mesh encloses as much, up to SEGMENTATION_ERROR.
    effect : mm, see `planted_displacement`.
    """
    from scipy.spatial.transform import Rotation  # loads much, and most cohorts have no meshes

    mesh = population_mesh(side)
    rng = stream(seed, index, Purpose.SHAPE)
    mirrored = population_mesh("right").vertices
    both, left, right = DEVIATION * smooth_fields(rng, mirrored, 3, length=DEVIATION_LENGTH).astype(np.float64)
    error = rng.normal(1.0, SEGMENTATION_ERROR, 2)[int(side == "right")].clip(0.8, 1.2)
    tilt, shift = Rotation.from_euler("xyz", rng.normal(0.0, TILT, 3), degrees=True), rng.normal(0.0, SHIFT, 3)
    own = np.sqrt(SHARED) * both + np.sqrt(1.0 - SHARED) * (left if side == "left" else right)
    normal, _ = mesh.normals()
    shaped = Mesh(mesh.vertices + normal * (own + planted_displacement(effect))[:, None], mesh.faces)
    centre = shaped.vertices.mean(axis=0)
    sized = centre + np.cbrt(volume * error / shaped.volume) * (shaped.vertices - centre)
    return Mesh(np.asarray(tilt.apply(sized) + shift), mesh.faces)


def vtk_text(mesh: Mesh, title: str) -> str:
    """A legacy ASCII VTK file in the layout of FSL FIRST's meshes."""
    points = "\n".join(f"{x:.4f} {y:.4f} {z:.4f}" for x, y, z in mesh.vertices + 0.0)
    polygons = "\n".join(f"3 {a} {b} {c}" for a, b, c in mesh.faces)
    n_faces = len(mesh.faces)
    header = f"# vtk DataFile Version 3.0\n{title}\nASCII\nDATASET POLYDATA\nPOINTS {len(mesh.vertices)} float\n"
    return f"{header}{points}\nPOLYGONS {n_faces} {4 * n_faces}\n{polygons}\n"


def _egg(unit: NDArray[np.float64]) -> NDArray[np.float64]:
    lateral, anterior, superior = unit.T
    breadth = 1.0 - 0.22 * anterior
    x = 9.2 * breadth * (lateral + 0.15 * lateral**2) - 4.0 * anterior
    z = 9.8 * breadth * superior - 1.5 * anterior**2
    return np.column_stack([x, 15.5 * anterior, z])


def _faces(unit: NDArray[np.float64]) -> NDArray[np.int64]:
    """Triangles between points of a sphere, seen counterclockwise, in an order of their own."""
    from scipy.spatial import ConvexHull

    faces = ConvexHull(unit).simplices.astype(np.int64)
    a, b, c = (unit[faces[:, corner]] for corner in range(3))
    inside_out = np.einsum("ij,ij->i", a, np.cross(b, c)) < 0.0
    faces[inside_out] = faces[inside_out, ::-1]
    first = faces.argmin(axis=1)
    faces = np.take_along_axis(faces, (first[:, None] + np.arange(3)) % 3, axis=1)
    return np.asarray(faces[np.lexsort(faces.T[::-1])])
