"""Meshes of the thalamus: one reader for both formats, and where a person's meshes are."""

import re
from pathlib import Path

from thalgpu.engine.inference.words import listed
from thalgpu.engine.inputs.checked import CheckedStream
from thalgpu.engine.inputs.gifti import Side, require_side
from thalgpu.engine.inputs.list_lines import absent
from thalgpu.engine.inputs.map_neighbours import Mesh, read_mesh
from thalgpu.engine.inputs.vtk_mesh import MAGIC, checked_triangles, read_vtk
from thalgpu.errors import InputError

_FIRST = {"left": r"[-_]L_Thal_first\.vtk", "right": r"[-_]R_Thal_first\.vtk"}
_GIFTI = {
    "left": r"(?:.*_)?hemi-L_(?:.*_)?(?:(?:seg|label|desc)-)?[Tt]halamus(?:_.*)?\.surf\.gii",
    "right": r"(?:.*_)?hemi-R_(?:.*_)?(?:(?:seg|label|desc)-)?[Tt]halamus(?:_.*)?\.surf\.gii",
}
_SIDES: tuple[Side, Side] = ("left", "right")


def read_triangles(path: Path, side: Side | None = None) -> Mesh:
    """A mesh from a legacy `.vtk` or a `.surf.gii`, told apart by content.

    Returns
    -------
    Mesh
        `coordinates` (n_vertices, 3) float64 mm, `faces` (n_faces, 3) int64, and the file's `sha256`.

    Raises
    ------
    InputError
        For an unsound file (see `read_vtk`), and a GIFTI that says itself that it is not of `side`.
    """
    with CheckedStream(path) as stream:
        is_vtk = stream.peek(len(MAGIC)) == MAGIC
    if is_vtk:
        return read_vtk(path)
    mesh = read_mesh(path)
    checked_triangles(path, mesh.faces, mesh.coordinates)
    if side is not None:
        require_side(path, mesh.structure, side)
    return mesh


def find_meshes(folder: Path, participant_id: str) -> dict[Side, Path]:
    """The meshes of a person's left and right thalamus, as far as there are any.

    Looked for in `folder`, `folder/sub-01`, `folder/01` and their sub-folders `anat` and `first`: FIRST's
    `…-L_Thal_first.vtk` and `…_L_Thal_first.vtk`, where what stands before is the person's label in the shared folder
    (`sub-01`, `01`, or either with further words behind, as in `sub-01_T1w-L_Thal_first.vtk`) and anything in the
    person's own; and `sub-01_hemi-L_…seg-thalamus….surf.gii`.

    Raises
    ------
    InputError
        When several files of one side fit, as in a folder with several visits.
    """
    own = [place for name in (f"sub-{participant_id}", participant_id) for place in _places(folder / name)]
    found: dict[Side, Path] = {}
    for side in _SIDES:
        label = rf"(?:sub-)?{re.escape(participant_id)}"
        shared = re.compile(rf"{label}(?:[-_].*)?(?:{_FIRST[side]})|{label}_{_GIFTI[side]}")
        anything = re.compile(rf".*{_FIRST[side]}|{_GIFTI[side]}")
        files = [file for place in own for file in _fitting(place, anything)] or _fitting(folder, shared)
        if len(files) > 1:
            names = listed(file.name for file in files)
            reason = f"{len(files)} meshes of the {side} thalamus of sub-{participant_id}: {names}"
            raise InputError(folder, reason, remedy="keep one, or name it in a table's column mesh_" + side)
        if files:
            found[side] = files[0]
    return found


def _places(folder: Path) -> list[Path]:
    """A person's folder and the sub-folders that hold meshes, where they exist."""
    return [place for place in (folder, folder / "anat", folder / "first") if absent(place, folder=True) is None]


def _fitting(folder: Path, name: re.Pattern[str]) -> list[Path]:
    try:
        return sorted(file for file in folder.iterdir() if name.fullmatch(file.name) and file.is_file())
    except OSError as error:
        raise InputError(folder, f"cannot be read: {error.strerror}", remedy="check that you may read it") from error
