"""What was planted in a cohort, as one HDF5 file."""

import io
from collections.abc import Iterable
from dataclasses import asdict

import h5py
import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.config import canonical_json
from thalgpu.engine.simulate.anatomy import THALAMUS
from thalgpu.engine.simulate.options import CohortOptions
from thalgpu.engine.simulate.recording import Places
from thalgpu.engine.simulate.study import person_brain
from thalgpu.engine.simulate.subject import Person, effect_map
from thalgpu.engine.simulate.thalamus_mesh import SIDES, planted_displacement, population_mesh


def truth_hdf5(options: CohortOptions, places: Places, people: Iterable[tuple[str, str, Person]]) -> bytes:
    """The true gradients and tunings of a cohort.

    Layout: attributes `options` (JSON) and `affected_group` (empty for none); `voxel_ijk` (n_voxels, 3) int32,
    `voxel_xyz` (n_voxels, 3) mm, `population_gradients` (n_voxels, 2), `effect_map` (n_voxels,) that the affected
    group's first gradient has added, `target_tuning` (n_targets, n_networks); and for each person `subjects/sub-XX/`
    `gradients` (n_voxels, 2) and `tuning` (n_voxels, n_networks), with the attribute `group`. Voxels are in C order of
    the grid. `tuning @ target_tuning'` is a person's noise-free connectivity.

    A study has besides: the attribute `shape_group`; `shape/vertices_left` and `_right` (n_vertices, 3) mm and
    `shape/faces_left` and `_right`, the population's thalami; `shape/displacement` (n_vertices,) mm that the group's
    surfaces are moved outwards by, the same on both sides; and for each person the attributes `icv` and
    `volumes` (left, right), mm³.

    Parameters
    ----------
    options : of the cohort.
    places : of the cohort.
    people : (participant_id, group, person).
    """
    buffer = io.BytesIO()
    thalamus = places.thalamus
    head = places.head.only(THALAMUS)
    with h5py.File(buffer, "w") as file:
        file.attrs["options"] = canonical_json(asdict(options))
        file.attrs["affected_group"] = options.affected_group or ""
        _put(file, "voxel_ijk", np.column_stack(np.unravel_index(head.flat, head.shape)).astype(np.int32))
        _put(file, "voxel_xyz", thalamus.xyz)
        _put(file, "population_gradients", thalamus.latent)
        _put(file, "effect_map", effect_map(thalamus, options.effect if options.affected_group else 0.0))
        _put(file, "target_tuning", Person(options.seed, 0).tuning(places.targets))
        for participant_id, group, person in people:
            folder = file.create_group(f"subjects/{participant_id}")
            folder.attrs["group"] = group
            _put(folder, "gradients", person.gradients(thalamus))
            _put(folder, "tuning", person.tuning(thalamus))
            if options.study:
                brain = person_brain(options, person.index)
                folder.attrs["icv"] = brain.icv
                folder.attrs["volumes"] = [brain.volumes[f"{side.capitalize()}-Thalamus"] for side in SIDES]
        if options.study:
            file.attrs["shape_group"] = options.shape_group or ""
            _put(file, "shape/displacement", planted_displacement(options.shape_effect if options.shape_group else 0.0))
            for side in SIDES:
                _put(file, f"shape/vertices_{side}", population_mesh(side).vertices)
                _put(file, f"shape/faces_{side}", population_mesh(side).faces)
    return buffer.getvalue()


def _put(folder: h5py.Group, name: str, values: NDArray[np.generic]) -> None:
    folder.create_dataset(name, data=values, fletcher32=True)
