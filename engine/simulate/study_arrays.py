"""A study without files, for simulations of many: what people are, and their series one at a time."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from thalgpu.engine.simulate.anatomy import CORTEX, THALAMUS, Elements, join
from thalgpu.engine.simulate.confounds import ConfoundTable
from thalgpu.engine.simulate.geometry import head_of
from thalgpu.engine.simulate.options import SIZES, CohortOptions
from thalgpu.engine.simulate.phenotype import participant
from thalgpu.engine.simulate.recording import person_of
from thalgpu.engine.simulate.study import person_brain, person_thalamus
from thalgpu.engine.simulate.thalamus_mesh import SIDES, Side


@dataclass(frozen=True)
class StudyArrays:
    """Everybody's structure, as the files of the same options hold it before it is rounded.

    Attributes
    ----------
    group : (n_subjects,) int64, positions in the options' groups.
    age, is_female : (n_subjects,) float64 years, bool.
    icv : (n_subjects,) float64, mm³.
    volumes : (n_subjects, 2) float64, mm³: left and right thalamus.
    thickness : region → (n_subjects, 2) float64, mm: left and right.
    vertices : "left" and "right" → (n_subjects, n_vertices, 3) float64, mm.
    """

    group: NDArray[np.int64]
    age: NDArray[np.float64]
    is_female: NDArray[np.bool_]
    icv: NDArray[np.float64]
    volumes: NDArray[np.float64]
    thickness: dict[str, NDArray[np.float64]]
    vertices: dict[Side, NDArray[np.float64]]


def study_arrays(options: CohortOptions) -> StudyArrays:
    """Structure of a whole study: 84 people take half a second."""
    people = range(options.subjects)
    rows = [participant(options.seed, index, "", "") for index in people]
    brains = [person_brain(options, index) for index in people]
    thickness = {
        region: np.array([[brain.thickness[hemi][region] for hemi in ("lh", "rh")] for brain in brains])
        for region in brains[0].thickness["lh"]
    }
    vertices = {
        side: np.array([person_thalamus(options, index, side, brains[index]).vertices for index in people])
        for side in SIDES
    }
    return StudyArrays(
        np.array([options.groups.index(options.group_of(index)) for index in people]),
        np.array([float(row["age"]) for row in rows]),
        np.array([row["sex"] == "F" for row in rows]),
        np.array([brain.icv for brain in brains]),
        np.array([[brain.volumes[f"{side.capitalize()}-Thalamus"] for side in SIDES] for brain in brains]),
        thickness,
        vertices,
    )


@dataclass(frozen=True)
class Scanner:
    """Series of a study's people at the voxels of its files, of which only the thermal noise is another.

    Attributes
    ----------
    options : of the study.
    voxels : (n_voxels, 3) int32, indices of the thalamus in C order of the grid.
    elements : the thalamus' voxels, then the cortical ones.
    """

    options: CohortOptions
    voxels: NDArray[np.int32]
    elements: Elements

    def series(self, index: int, run: int = 0) -> tuple[NDArray[np.float32], NDArray[np.float32], ConfoundTable]:
        """(n_timepoints, n_voxels) of the thalamus and (n_timepoints, n_targets) of the cortex, not cleaned, in percent
        signal change; and the confounds of that scan.
        """
        scan = person_of(self.options, index).scan(
            self.elements, self.options.n_timepoints, tr=self.options.tr, run=run
        )
        both = scan.signal(slice(None))
        return both[:, : len(self.voxels)], both[:, len(self.voxels) :], scan.confounds


def scanner_of(options: CohortOptions) -> Scanner:
    """The places that the scans of a study have."""
    head = head_of(SIZES[options.size])
    seeds, targets = head.only(THALAMUS), head.only(CORTEX)
    voxels = np.column_stack(np.unravel_index(seeds.flat, head.shape)).astype(np.int32)
    return Scanner(options, voxels, join(seeds.elements, targets.elements))
