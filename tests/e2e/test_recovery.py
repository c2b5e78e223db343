"""Planted gradients come back from simulated scans, as files of volumes and of grayordinates.

The noise is `thalgpu simulate`'s: 1 is realistic. Correlations are between a subject's gradient and the one planted in
that subject, over all thalamic voxels, whatever the sign.
"""

import h5py
import numpy as np
import pytest

from thalgpu.engine.config import CleaningOptions, GradientOptions
from thalgpu.engine.pipelines.gradients import run_gradients
from thalgpu.engine.pipelines.prepare import GradientsRequest
from thalgpu.engine.simulate.cohort import simulate_cohort
from thalgpu.engine.simulate.options import CohortOptions

OPTIONS = GradientOptions(n_components=4, n_align=4)
CLEANED = CleaningOptions(confounds="24p")


def request_of(cohort, out, cleaning):
    regions = {"thalamus": cohort.thalamus, "cortex": cohort.cortex}
    named = {name: str(paths[0]) for name, paths in regions.items() if paths}
    return GradientsRequest(cohort.table_file, out=out, options=OPTIONS, cleaning=cleaning, workers=1, **named)


def planted(run, cohort):
    """(n_subjects, n_voxels, 2) of the subjects, in the order of the run's voxels (CIFTI lists left before right)."""
    with h5py.File(run.out / "group/gradients.h5") as file:
        voxels = [tuple(ijk) for ijk in file["voxel_ijk"][:]]
    with h5py.File(cohort.truth_file) as file:
        row = {tuple(ijk): number for number, ijk in enumerate(file["voxel_ijk"][:])}
        order = [row[ijk] for ijk in voxels]
        return np.array([file[f"subjects/{who}/gradients"][:][order] for who in cohort.subjects])


def matched(found, truth):
    """|r| of the first two components with the planted two."""
    return np.abs([np.corrcoef(found[:, i], truth[:, i])[0, 1] for i in range(2)])


def aligned(run, subject):
    with h5py.File(run.out / f"{subject}/func/{subject}_seg-thalamus_desc-aligned_gradients.h5") as file:
        return file["aligned"][:]


def recovered(run, cohort):
    """(n_subjects, 2) |r| of each subject, and (2,) of the template with the mean of what was planted."""
    people = planted(run, cohort)
    subjects = [matched(aligned(run, who), truth) for who, truth in zip(cohort.subjects, people, strict=True)]
    return np.array(subjects), matched(run.templates[0].gradients, people.mean(axis=0))


@pytest.fixture(scope="module")
def noisy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("noisy")
    options = CohortOptions(subjects=4, timepoints=200, noise=1.0, effect=0.0)
    return simulate_cohort(folder / "cohort", options=options)


@pytest.fixture(scope="module")
def cleaned(noisy, tmp_path_factory):
    return run_gradients(request_of(noisy, tmp_path_factory.mktemp("cleaned") / "out", CLEANED))


@pytest.fixture(scope="module")
def raw(noisy, tmp_path_factory):
    return run_gradients(request_of(noisy, tmp_path_factory.mktemp("raw") / "out", CleaningOptions()))


def test_realistic_noise_leaves_the_planted_gradients_visible_in_every_subject(cleaned, noisy):
    subjects, _ = recovered(cleaned, noisy)
    assert (subjects.mean(axis=0) > (0.90, 0.80)).all(), subjects
    assert (subjects.min(axis=0) > (0.85, 0.70)).all(), subjects


def test_template_recovers_better_than_single_subjects(cleaned, noisy):
    subjects, template = recovered(cleaned, noisy)
    assert (template > subjects.mean(axis=0)).all(), (template, subjects)
    assert (template > 0.93).all(), template


def test_cleaning_helps(cleaned, raw, noisy):
    with_it, without = recovered(cleaned, noisy)[0], recovered(raw, noisy)[0]
    assert (with_it.mean(axis=0) > without.mean(axis=0) + 0.02).all(), (with_it, without)


def test_without_noise_the_planted_gradients_are_found(tmp_path):
    clean = simulate_cohort(
        tmp_path / "cohort", options=CohortOptions(subjects=2, timepoints=120, noise=0.0, effect=0.0)
    )
    subjects, _ = recovered(run_gradients(request_of(clean, tmp_path / "out", CleaningOptions())), clean)
    # not 1: the kernel and the sparsity bend the planted maps, and 120 volumes are a sample
    assert (subjects > (0.90, 0.87)).all(), subjects


def test_gradients_come_back_from_cifti_without_naming_regions(tmp_path):
    cohort = simulate_cohort(
        tmp_path / "cohort", options=CohortOptions(subjects=3, timepoints=150, noise=1.0, effect=0.0, kind="cifti")
    )
    run = run_gradients(request_of(cohort, tmp_path / "out", CLEANED))
    subjects, template = recovered(run, cohort)
    assert (subjects.mean(axis=0) > (0.85, 0.75)).all(), subjects
    assert (template > 0.9).all(), template
    assert (run.out / "sub-01/func/sub-01_seg-thalamus_stat-gradients_boldmap.dscalar.nii").is_file()


def test_planted_group_difference_is_seen_in_aligned_gradients(tmp_path):
    options = CohortOptions(subjects=6, groups=("nonneuCLBP", "HC"), timepoints=150, noise=0.5, effect=3.0)
    cohort = simulate_cohort(tmp_path / "cohort", options=options)
    run = run_gradients(request_of(cohort, tmp_path / "out", CLEANED))
    with h5py.File(cohort.truth_file) as file:
        effect = file["effect_map"][:]
        population = file["population_gradients"][:, 0]
    maps = np.array([aligned(run, who)[:, 0] for who in cohort.subjects])
    maps = (maps - maps.mean(axis=1, keepdims=True)) / maps.std(axis=1, keepdims=True)
    difference = maps[0::2].mean(axis=0) - maps[1::2].mean(axis=0)
    difference *= np.sign(np.corrcoef(maps.mean(axis=0), population)[0, 1])
    assert np.corrcoef(difference, effect)[0, 1] > 0.3, "the affected group differs where the effect was planted"
