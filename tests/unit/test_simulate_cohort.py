"""A cohort in a folder: valid files, the same bytes again, and nothing overwritten by accident."""

import gzip
import json
from dataclasses import replace

import h5py
import nibabel as nib
import numpy as np
import pytest
from nibabel.cifti2.cifti2_axes import BrainModelAxis, LabelAxis, SeriesAxis
from typer.testing import CliRunner

from thalgpu.cli.main import app
from thalgpu.engine.inputs.layouts import find_runs
from thalgpu.engine.inputs.subject_list import read_subject_list
from thalgpu.engine.simulate.cohort import simulate_cohort
from thalgpu.engine.simulate.options import STUDY_GROUPS, CohortOptions
from thalgpu.engine.simulate.phenotype import participant
from thalgpu.errors import UsageError

SHORT = CohortOptions(subjects=3, timepoints=40)


def contents(folder):
    """Relative path → bytes of every file."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def scans(folder, pattern):
    return sorted(folder.glob(f"sub-*/func/{pattern}"))


@pytest.fixture(scope="module")
def volume(tmp_path_factory):
    """A cohort of volumes, never written to."""
    return simulate_cohort(tmp_path_factory.mktemp("volume") / "cohort", options=SHORT)


@pytest.mark.parametrize("kind", ["volume", "cifti", "surface"])
def test_same_options_give_the_same_bytes(tmp_path, kind):
    options = replace(SHORT, kind=kind, subjects=1, timepoints=20, runs=2, layout="fmriprep")
    for name in ("once", "again"):
        simulate_cohort(tmp_path / name, options=options)
    assert contents(tmp_path / "once") == contents(tmp_path / "again")


def test_writing_again_changes_no_byte(tmp_path):
    options = replace(SHORT, subjects=2, timepoints=20)
    simulate_cohort(tmp_path / "cohort", options=options)
    before = contents(tmp_path / "cohort")
    simulate_cohort(tmp_path / "cohort", options=options)
    assert contents(tmp_path / "cohort") == before


def test_more_subjects_leave_the_earlier_ones_as_they_are(volume, tmp_path):
    larger = simulate_cohort(tmp_path / "larger", options=replace(SHORT, subjects=4))
    before, after = contents(volume.folder), contents(larger.folder)
    scans_before = {name: data for name, data in before.items() if name.startswith("sub-")}
    assert scans_before == {name: after[name] for name in scans_before}
    assert after["participants.tsv"].startswith(before["participants.tsv"])
    assert after["list.txt"].startswith(before["list.txt"])


def test_a_cohort_can_be_extended_in_place(tmp_path):
    options = replace(SHORT, subjects=1, timepoints=20)
    simulate_cohort(tmp_path / "cohort", options=options)
    grown = simulate_cohort(tmp_path / "cohort", options=replace(options, subjects=2))
    fresh = simulate_cohort(tmp_path / "fresh", options=replace(options, subjects=2))
    assert contents(grown.folder) == contents(fresh.folder)


def test_another_seed_gives_other_people(volume, tmp_path):
    other = simulate_cohort(tmp_path / "other", options=replace(SHORT, subjects=1, seed=1))
    bold = scans(other.folder, "*_bold.nii.gz")[0]
    assert bold.read_bytes() != (volume.folder / bold.relative_to(other.folder)).read_bytes()


def test_gzip_names_neither_file_nor_time(volume):
    header = (volume.folder / "thalamus.nii.gz").read_bytes()[:10]
    assert header[3] == 0
    assert header[4:8] == bytes(4)


def test_volumes_are_int16_with_a_slope_around_ten_thousand(volume):
    image = nib.load(scans(volume.folder, "*_bold.nii.gz")[0])
    assert image.shape == (24, 28, 20, 40)
    assert image.get_data_dtype() == np.int16
    assert image.dataobj.slope == 0.5
    assert image.header.get_zooms() == (4.0, 4.0, 4.0, 2.0)
    assert image.header.get_xyzt_units() == ("mm", "sec")
    mask = nib.load(volume.cortex[0]).get_fdata() > 0
    mean = image.get_fdata()[mask].mean(axis=1)
    assert 5_000 < mean.min() < mean.mean() - mean.std()
    assert mean.max() < 15_000


def test_masks_share_the_scans_grid_and_do_not_overlap(volume):
    bold = nib.load(scans(volume.folder, "*_bold.nii.gz")[0])
    thalamus, cortex = nib.load(volume.thalamus[0]), nib.load(volume.cortex[0])
    parcels = nib.load(volume.folder / "cortex_parcels.nii.gz")
    for image in (thalamus, cortex, parcels):
        np.testing.assert_array_equal(image.affine, bold.affine)
        assert image.shape == bold.shape[:3]
    assert thalamus.get_fdata().sum() == 280
    assert 1_000 <= cortex.get_fdata().sum() <= 1_500
    assert not (thalamus.get_fdata() * cortex.get_fdata()).any()
    np.testing.assert_array_equal(parcels.get_fdata() > 0, cortex.get_fdata() > 0)
    assert set(np.unique(parcels.get_fdata())) == set(range(101))


def test_truth_is_in_the_order_of_the_mask(volume):
    mask = nib.load(volume.thalamus[0])
    with h5py.File(volume.truth_file) as truth:
        np.testing.assert_array_equal(truth["voxel_ijk"][:], np.argwhere(mask.get_fdata() > 0))
        np.testing.assert_allclose(truth["voxel_xyz"][:], nib.affines.apply_affine(mask.affine, truth["voxel_ijk"][:]))
        assert truth["population_gradients"].shape == truth["subjects/sub-03/gradients"].shape == (280, 2)
        assert truth["subjects/sub-01/tuning"].shape == (280, 12)
        assert truth["target_tuning"].shape == (int(nib.load(volume.cortex[0]).get_fdata().sum()), 12)
        assert truth["subjects/sub-02"].attrs["group"] == "nonneuCLBP" == truth.attrs["affected_group"]
        assert json.loads(truth.attrs["options"])["subjects"] == 3
        assert truth["effect_map"][:].max() > 0.2


def test_scan_of_the_truths_voxels_has_the_planted_connectivity(tmp_path):
    cohort = simulate_cohort(tmp_path / "cohort", options=CohortOptions(subjects=1, noise=0.0, groups=("HC",)))
    image = nib.load(scans(cohort.folder, "*_bold.nii.gz")[0]).get_fdata()
    seed, target = (image[nib.load(mask[0]).get_fdata() > 0] for mask in (cohort.thalamus, cohort.cortex))
    found = np.corrcoef(np.vstack([seed, target]))[:280, 280:]
    with h5py.File(cohort.truth_file) as truth:
        expected = truth["subjects/sub-01/tuning"][:] @ truth["target_tuning"][:].T
    np.testing.assert_allclose(found, expected, atol=0.02)  # steps of 0.5 in signals of SD 100, and soft orthogonality


def test_lists_are_read_back(volume):
    for path in (volume.list_file, volume.table_file):
        subjects = read_subject_list(path)
        assert [f"sub-{subject.participant_id}" for subject in subjects] == list(volume.subjects)
        assert all(run.bold.is_file() and run.confounds.is_file() for subject in subjects for run in subject.runs)


def test_confounds_table_has_a_row_for_each_volume(volume):
    rows = scans(volume.folder, "*_timeseries.tsv")[0].read_text().splitlines()
    assert len(rows) == 1 + 40


def test_sidecar_has_the_repetition_time(tmp_path):
    cohort = simulate_cohort(tmp_path / "cohort", options=replace(SHORT, subjects=1, tr=0.8))
    sidecar = scans(cohort.folder, "*_bold.json")[0]
    assert json.loads(sidecar.read_text())["RepetitionTime"] == 0.8


def test_runs_are_listed_in_the_table_only(tmp_path):
    cohort = simulate_cohort(tmp_path / "cohort", options=replace(SHORT, subjects=2, runs=2, timepoints=20))
    assert [len(subject.runs) for subject in read_subject_list(cohort.table_file)] == [2, 2]
    assert [len(subject.runs) for subject in read_subject_list(cohort.list_file)] == [1, 1]


@pytest.mark.parametrize("kind", ["cifti", "surface"])
def test_fmriprep_layout_of_grayordinates_is_found_by_labels(tmp_path, kind):
    options = replace(SHORT, subjects=1, timepoints=20, layout="fmriprep", kind=kind, runs=2)
    found = find_runs(simulate_cohort(tmp_path / "cohort", options=options).folder, "01")
    assert len(found.runs) == 2
    assert (found.runs[0].surfaces is not None) == (kind == "surface")
    assert found.runs[1].confounds is not None


def test_fmriprep_layout_is_found_by_labels(tmp_path):
    options = replace(SHORT, subjects=1, timepoints=20, layout="fmriprep")
    found = find_runs(simulate_cohort(tmp_path / "cohort", options=options).folder, "01")
    assert found.layout == "fmriprep"
    assert found.runs[0].confounds is not None
    labels = nib.load(found.aseg)
    left = np.argwhere(labels.get_fdata() == 10)
    assert len(left) == 140
    assert (nib.affines.apply_affine(labels.affine, left)[:, 0] < 0).all()


def test_cifti_holds_cortex_and_thalamus(tmp_path):
    cohort = simulate_cohort(tmp_path / "cohort", options=replace(SHORT, subjects=1, kind="cifti"))
    image = nib.load(scans(cohort.folder, "*.dtseries.nii")[0])
    series, models = (image.header.get_axis(k) for k in (0, 1))
    assert isinstance(series, SeriesAxis)
    assert isinstance(models, BrainModelAxis)
    assert (series.step, series.unit, series.size) == (2.0, "SECOND", 40)
    sizes = {name: part.stop - part.start if part.stop else len(models) - part.start
             for name, part, _ in models.iter_structures()}  # fmt: skip
    sides = ("LEFT", "RIGHT")
    assert list(sizes) == [f"CIFTI_STRUCTURE_{region}_{side}" for region in ("CORTEX", "THALAMUS") for side in sides]
    assert models.nvertices["CIFTI_STRUCTURE_CORTEX_LEFT"] == 642 > sizes["CIFTI_STRUCTURE_CORTEX_LEFT"]
    assert sizes["CIFTI_STRUCTURE_THALAMUS_LEFT"] == 140
    assert np.isfinite(image.get_fdata()).all()
    assert (image.get_fdata().std(axis=0) > 0).all()
    labels = nib.load(cohort.folder / "cortex_parcels.dlabel.nii")
    assert isinstance(labels.header.get_axis(0), LabelAxis)
    assert labels.header.get_axis(1) == models


def test_cifti_voxels_are_those_of_the_truth(tmp_path):
    cohort = simulate_cohort(tmp_path / "cohort", options=replace(SHORT, subjects=1, kind="cifti"))
    models = nib.load(scans(cohort.folder, "*.dtseries.nii")[0]).header.get_axis(1)
    voxels = models.voxel[models.volume_mask]
    with h5py.File(cohort.truth_file) as truth:
        assert set(map(tuple, voxels)) == set(map(tuple, truth["voxel_ijk"][:]))


def test_surfaces_are_a_pair_without_signal_in_the_medial_wall(tmp_path):
    cohort = simulate_cohort(tmp_path / "cohort", options=replace(SHORT, subjects=1, kind="surface"))
    subject = read_subject_list(cohort.table_file)[0]
    for path, mask, parcels in zip(
        subject.runs[0].surfaces, cohort.cortex, sorted(cohort.folder.glob("cortex_parcels_*.gii")), strict=True
    ):
        surface = nib.load(path)
        assert len(surface.darrays) == 40
        series = np.array([array.data for array in surface.darrays])
        assert series.shape == (40, 642)
        inside = nib.load(mask).darrays[0].data > 0
        np.testing.assert_array_equal(series.std(axis=0) > 0, inside)
        np.testing.assert_array_equal(nib.load(parcels).darrays[0].data > 0, inside)
    assert nib.load(subject.runs[0].bold).shape == (24, 28, 20, 40)


def test_mni_size_has_the_grid_of_the_template(tmp_path):
    cohort = simulate_cohort(tmp_path / "cohort", options=CohortOptions(subjects=1, size="mni2mm", timepoints=10))
    bold, thalamus, cortex = (
        nib.load(path) for path in (*scans(cohort.folder, "*_bold.nii.gz"), *cohort.thalamus, *cohort.cortex)
    )
    assert bold.shape == (91, 109, 91, 10)
    np.testing.assert_array_equal(bold.affine, [[-2, 0, 0, 90], [0, 2, 0, -126], [0, 0, 2, -72], [0, 0, 0, 1]])
    assert thalamus.get_fdata().sum() == 2248
    assert cortex.get_fdata().sum() == pytest.approx(20_000, rel=0.05)


def test_patients_are_more_severe_group_by_group():
    rows = {group: [participant(0, index, "sub-01", group) for index in range(40)] for group in STUDY_GROUPS}
    for score in ("painDETECT", "DN4", "pain_intensity", "disability"):
        neuropathic, other, healthy = (np.mean([float(row[score]) for row in rows[group]]) for group in STUDY_GROUPS)
        assert neuropathic > other > healthy


def test_age_does_not_differ_by_group():
    assert {participant(0, 5, "sub-06", group)["age"] for group in STUDY_GROUPS} == {
        participant(0, 5, "x", "HC")["age"]
    }


@pytest.mark.parametrize(
    ("groups", "effect", "affected"),
    [
        (STUDY_GROUPS, 0.5, "nonneuCLBP"),
        (("patients", "controls"), 0.5, "patients"),
        (("controls",), 0.5, None),
        (("nonneuCLBP",), 0.5, "nonneuCLBP"),
        (STUDY_GROUPS, 0.0, None),
    ],
)
def test_which_group_is_affected(groups, effect, affected):
    assert CohortOptions(groups=groups, effect=effect).affected_group == affected


def test_a_hundred_groups_of_one(tmp_path):
    groups = tuple(f"g{k}" for k in range(100))
    cohort = simulate_cohort(tmp_path / "cohort", options=CohortOptions(subjects=100, groups=groups, timepoints=10))
    rows = cohort.participants_file.read_text().splitlines()[1:]
    assert [row.split("\t")[1] for row in rows] == list(groups)
    assert cohort.subjects[0] == "sub-01"
    assert cohort.subjects[99] == "sub-100"


@pytest.mark.parametrize(
    "wrong",
    [
        {"subjects": 0}, {"runs": 0}, {"seed": -1}, {"tr": 0.0}, {"tr": float("nan")}, {"noise": -1.0},
        {"effect": float("inf")}, {"timepoints": 9}, {"timepoints": 40_000}, {"groups": ()}, {"groups": ("a", "a")},
        {"groups": ("a\tb",)}, {"groups": ("../x",)}, {"kind": "dicom"}, {"size": "huge"}, {"layout": "flat"},
    ],
)  # fmt: skip
def test_impossible_options_are_usage_errors(wrong):
    with pytest.raises(UsageError):
        CohortOptions(**wrong)


def test_a_foreign_folder_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="not empty"):
        simulate_cohort(tmp_path, options=SHORT)
    assert list(tmp_path.iterdir()) == [tmp_path / "thesis.txt"]


@pytest.mark.parametrize("other", [{"seed": 1}, {"subjects": 2}, {"noise": 0.5}, {"kind": "cifti"}])
def test_a_cohort_of_other_options_is_left_alone(volume, other):
    before = contents(volume.folder)
    with pytest.raises(UsageError, match="other options"):
        simulate_cohort(volume.folder, options=replace(SHORT, **other))
    assert contents(volume.folder) == before


@pytest.mark.parametrize(
    "damaged", ["", "[]", "{", '{"format": 1, "options": {}}', '{"format": 1, "options": 3}', "\xff"]
)
def test_a_damaged_marker_is_no_leave_to_overwrite(tmp_path, damaged):
    (tmp_path / "cohort.json").write_bytes(damaged.encode("latin-1"))
    with pytest.raises(UsageError):
        simulate_cohort(tmp_path, options=SHORT)


def test_force_overwrites_and_keeps_what_is_not_the_cohorts(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    simulate_cohort(tmp_path, options=replace(SHORT, subjects=1, timepoints=20), force=True)
    assert (tmp_path / "thesis.txt").read_text() == "mine"
    assert (tmp_path / "list.txt").is_file()


def test_a_file_in_the_folders_place_is_refused(tmp_path):
    (tmp_path / "cohort").write_text("")
    with pytest.raises(UsageError, match="a file"):
        simulate_cohort(tmp_path / "cohort", options=SHORT)


def test_progress_names_every_subject(tmp_path):
    events = []
    simulate_cohort(tmp_path / "cohort", options=replace(SHORT, subjects=2, timepoints=20), progress=events.append)
    assert [(event.kind, event.text, event.done) for event in events] == [
        ("stage", "simulating", 0),
        ("step", "sub-01", 1),
        ("step", "sub-02", 2),
    ]


def test_command_writes_a_cohort_and_says_what_is_next(tmp_path):
    arguments = ["simulate", str(tmp_path / "c"), "--subjects", "1", "--groups", "HC", "--timepoints", "20"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert f"--subjects {tmp_path / 'c' / 'list.txt'} --thalamus {tmp_path / 'c' / 'thalamus.nii.gz'}" in done.output
    assert gzip.decompress((tmp_path / "c" / "cortex.nii.gz").read_bytes())


def test_command_refuses_no_subjects(tmp_path):
    done = CliRunner().invoke(app, ["simulate", str(tmp_path / "c"), "--subjects", "0"])
    assert isinstance(done.exception, UsageError)
    assert not (tmp_path / "c").exists()
