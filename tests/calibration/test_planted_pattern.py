"""Twenty simulated studies of 28 people a group: the planted pattern is found, all else no more often than by chance.

Measured, aligned and tested with one permutation set by the functions that the commands use, on arrays: minutes.
Run with `pytest -m studies tests/calibration/test_planted_pattern.py`.
"""

from dataclasses import dataclass

import numpy as np
import pytest
from scipy import stats
from threadpoolctl import threadpool_limits

from thalgpu import permutation_test
from thalgpu.engine.config import GradientOptions
from thalgpu.engine.gradients.alignment import procrustes
from thalgpu.engine.gradients.embedding import diffusion_map
from thalgpu.engine.gradients.subject import subject_gradients
from thalgpu.engine.inference.adjacency import mesh_neighbours, volume_neighbours
from thalgpu.engine.inference.joint_arms import Arm, join_arms
from thalgpu.engine.simulate.brain_structure import S1
from thalgpu.engine.simulate.options import CohortOptions
from thalgpu.engine.simulate.study_arrays import scanner_of, study_arrays
from thalgpu.engine.simulate.thalamus_mesh import SIDES, planted_displacement, population_mesh
from thalgpu.engine.simulate.timecourses import MOTION_NAMES, expand
from thalgpu.engine.structure.alignment import align_shapes
from thalgpu.engine.structure.displacement import displacements
from thalgpu.engine.structure.volumes import asymmetry, total

pytestmark = [pytest.mark.studies, pytest.mark.timeout(1800)]

N_STUDIES, N_PERM = 20, 1000
NEU_HC, NON_HC, NEU_NON = 0, 1, 2
CONTRASTS = np.array([[1.0, 0.0, -1.0], [0.0, 1.0, -1.0], [1.0, -1.0, 0.0]])
POWER = 0.9
FEWEST = int(stats.binom(N_STUDIES, POWER).ppf(0.001))
"""A program of this power finds an effect less often in one of a thousand runs."""
MOST = int(stats.binom(N_STUDIES, 0.05).ppf(0.999))
"""False alarms of a correct program exceed this in one of a thousand runs."""


@dataclass(frozen=True)
class Study:
    """(arm, contrast) → smallest p corrected within the arm's parts, and over all arms; significant vertices."""

    part: dict[tuple[str, int], float]
    joint: dict[tuple[str, int], float]
    vertices: np.ndarray


def gradients_of(options: CohortOptions) -> np.ndarray:
    """(n_subjects, n_voxels, 10) aligned to the pooled template, after 24 motion regressors and a trend."""
    scanner, chosen = scanner_of(options), GradientOptions()
    found, pooled = [], 0.0
    for index in range(options.subjects):
        seeds, targets, table = scanner.series(index)
        nuisance = expand(np.column_stack([table[name] for name in MOTION_NAMES]))
        design = np.column_stack([nuisance, np.arange(len(seeds))])
        basis = np.linalg.qr(np.column_stack([np.ones(len(seeds)), (design - design.mean(0)) / design.std(0)]))[0]
        both = [np.float32(series - basis @ (basis.T @ series)) for series in (seeds, targets)]
        one = subject_gradients(*both, chosen)
        found.append(one.embedding.gradients)
        pooled = pooled + one.affinity
    template = diffusion_map(pooled / options.subjects, chosen.n_components).gradients
    return np.array([procrustes(own, template, n_align=chosen.n_align).aligned for own in found])


def run(seed: int) -> Study:
    """Every arm of one study, joined."""
    options = CohortOptions(subjects=84, study=True, seed=seed)
    people = study_arrays(options)
    groups = np.eye(3)[people.group]
    gradients = gradients_of(options)
    maps, around, more = {}, {}, {}
    for component in (0, 1):
        name = ("gradients", f"component {component + 1}")
        maps[name], around[name] = gradients[:, :, component], volume_neighbours(scanner_of(options).voxels, 6)
    for side in SIDES:
        aligned = align_shapes(people.vertices[side], "rigid")
        faces = population_mesh(side).faces
        maps["shape", side] = displacements(aligned.shapes, aligned.mean, faces)
        around["shape", side] = mesh_neighbours(faces, len(aligned.mean), aligned.mean, areas=True)
    left, right = people.volumes.T
    maps["volumes", ""] = np.column_stack([left, right, total(left, right), 1e4 * asymmetry(left, right)])
    more["volumes", ""] = people.icv[:, None] / 1e6
    maps["thickness", ""] = np.hstack([people.thickness[region] for region in S1])

    maxima, least, vertices = {}, {}, []
    for name, values in maps.items():
        nuisance = np.column_stack([people.age, people.is_female, *more.get(name, np.empty((84, 0))).T])
        contrasts = np.hstack([CONTRASTS, np.zeros((3, nuisance.shape[1]))])
        spatial = {"tfce": True, "adjacency": around[name]} if name in around else {}
        tested = permutation_test(
            values, np.hstack([groups, nuisance]), contrasts, n_perm=N_PERM, seed=seed, two_sided=True, **spatial
        )
        p = tested.p_fwe_tfce if spatial else tested.p_fwe
        for contrast in range(3):
            key = f"{name[1]} {contrast}"
            maxima.setdefault(name[0], {})[key] = tested.null_max["tfce" if spatial else "stat"][contrast]
            least.setdefault((name[0], contrast), []).append(p[contrast].min())
        if name[0] == "shape":
            vertices.append(p <= 0.05)
    joined = join_arms([Arm(arm, parts) for arm, parts in maxima.items()])
    part = {key: float(min(p)) for key, p in least.items()}
    joint = {(arm, contrast): float(joined.p_joint(arm, p)) for (arm, contrast), p in part.items()}
    return Study(part, joint, np.array(vertices))


@pytest.fixture(scope="module")
def studies() -> list[Study]:
    with threadpool_limits(1):
        return [run(seed) for seed in range(N_STUDIES)]


def found(studies: list[Study], arm: str, contrast: int) -> int:
    """Studies in which an arm's contrast survives correction over everything."""
    return sum(study.joint[arm, contrast] <= 0.05 for study in studies)


@pytest.mark.parametrize(
    ("arm", "contrast"), [("shape", NEU_HC), ("shape", NEU_NON), ("gradients", NON_HC), ("gradients", NEU_NON)]
)
def test_planted_effects_survive_joint_correction(studies, arm, contrast):
    assert found(studies, arm, contrast) >= FEWEST


@pytest.mark.parametrize(
    ("arm", "contrast"),
    [
        ("shape", NON_HC),
        ("gradients", NEU_HC),
        *((arm, contrast) for arm in ("volumes", "thickness") for contrast in range(3)),
    ],
)
def test_nothing_else_survives_joint_correction_more_often_than_by_chance(studies, arm, contrast):
    assert found(studies, arm, contrast) <= MOST


@pytest.mark.parametrize("arm", ["volumes", "thickness"])
def test_false_alarms_of_null_arms_are_five_per_cent(studies, arm):
    """Each of an arm's contrasts is corrected for its own features only."""
    for contrast in range(3):
        assert sum(study.part[arm, contrast] <= 0.05 for study in studies) <= MOST


def test_vertices_are_found_where_the_shape_was_planted(studies):
    """More often where the planted displacement is at least half of its largest than elsewhere."""
    planted = np.abs(planted_displacement(1.0)) >= 0.5
    rate = np.mean([study.vertices[:, NEU_HC] for study in studies], axis=(0, 1))
    assert rate[planted].mean() > 4 * rate[~planted].mean()
