"""The maps of `thalgpu permute` in files that any program may have written."""

from collections.abc import Sequence
from pathlib import Path

from thalgpu.engine.inputs.maps_arrays import read_hdf5, read_npy
from thalgpu.engine.inputs.maps_images import read_images, require_no_component
from thalgpu.engine.inputs.maps_names import listed_files, require_one_kind
from thalgpu.engine.inputs.maps_surfaces import read_surfaces
from thalgpu.engine.inputs.maps_tables import read_table
from thalgpu.engine.inputs.subject_maps import MapStack
from thalgpu.errors import InputError, UsageError

_SINGLE = {"hdf5": read_hdf5, "npy": read_npy, "table": read_table}


def read_map_files(
    maps: Sequence[Path], *, components: Sequence[int] = (1,), mask: str | None = None
) -> tuple[MapStack, ...]:
    """Read maps of all subjects; one record a measure.

    Parameters
    ----------
    maps : one of

        - a 4-D NIfTI, a CIFTI dscalar, or a GIFTI (or a left and a right one), with a map a subject;
        - several NIfTI, CIFTI dscalar or GIFTI files (of one hemisphere or both), each of one subject; the ids are the
          `sub-XX` of the names or else of the folders, and None where no name has one;
        - a text file (`.txt`) that lists such files, one a line;
        - `FILE.h5[:DATASET]` or `.npy`: an array (n_subjects, n_features);
        - a `.tsv` or `.csv`: `participant_id` first, the other columns numeric features.

    components : which maps of every subject's file, from 1.
    mask : `FILE[:LABELS]` on the grid of the maps; None for the whole grid.

    Returns
    -------
    One a component, as they are in the files: `settle` leaves out what cannot be tested. Subjects are in the order of
    the files or rows.

    Raises
    ------
    InputError
        For anything unsound, in one line that names the file.
    UsageError
        For a mask where there is no grid, and for no maps at all.
    """
    if not maps:
        raise UsageError("no maps are given", remedy="name a gradients folder, images, an array or a table")
    paths, kind = tuple(maps), require_one_kind(maps)
    if kind == "list":
        _require_single(paths)
        paths = listed_files(paths[0])
        if (kind := require_one_kind(paths)) not in ("image", "surface"):
            raise InputError(paths[0], "only images can be listed", remedy="give the array or table itself")
    if kind == "image":
        return read_images(paths, components, mask)
    if kind == "surface":
        return read_surfaces(paths, components, mask)
    _require_single(paths)
    require_no_component(paths[0], components)
    if mask is not None:
        raise UsageError("--mask has no use for an array or a table", remedy="leave it out, and the columns too")
    return (_SINGLE[kind](paths[0]),)


def _require_single(paths: Sequence[Path]) -> None:
    if len(paths) > 1:
        raise InputError(paths[1], f"only one file of this kind can be given, and {paths[0]} is", remedy="join them")
