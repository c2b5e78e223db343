"""A simulated study: files are what they say, people stay who they are, effects are where they were planted."""

from dataclasses import replace

import h5py
import nibabel as nib
import numpy as np
import pytest
from typer.testing import CliRunner

from thalgpu.cli.main import app
from thalgpu.engine.inputs.freesurfer_stats import icv_of, read_stats, s1_stats, thalamus_of
from thalgpu.engine.inputs.mesh_files import read_triangles
from thalgpu.engine.inputs.study_file import read_study_file
from thalgpu.engine.inputs.subject_list import read_subject_list
from thalgpu.engine.simulate.brain_structure import S1
from thalgpu.engine.simulate.cohort import simulate_cohort
from thalgpu.engine.simulate.options import CohortOptions
from thalgpu.engine.simulate.study import contrasts, structure_files, truth_text
from thalgpu.engine.simulate.study_arrays import scanner_of, study_arrays
from thalgpu.engine.simulate.thalamus_mesh import MESH_VOLUME, SIDES, Mesh, planted_displacement, population_mesh
from thalgpu.engine.structure.alignment import align_shapes
from thalgpu.engine.structure.displacement import displacements
from thalgpu.errors import UsageError

STUDY = CohortOptions(subjects=3, timepoints=20, study=True)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A study of three people, never written to."""
    return simulate_cohort(tmp_path_factory.mktemp("study") / "study", options=STUDY)


@pytest.fixture(scope="module")
def arrays():
    """A large study without files."""
    return study_arrays(replace(STUDY, subjects=300))


@pytest.fixture(scope="module")
def displaced(arrays):
    """(300, 642) mm of the left thalamus after rigid alignment."""
    aligned = align_shapes(arrays.vertices["left"], "rigid")
    return displacements(aligned.shapes, aligned.mean, population_mesh("left").faces)


def test_list_names_everything(study):
    for person in read_subject_list(study.table_file):
        assert person.freesurfer_dir.is_dir()
        assert all(file.is_file() for file in (person.mesh_left, person.mesh_right, person.runs[0].confounds))


def test_study_file_is_read_and_names_files_that_exist(study):
    read = read_study_file(study.study_file)
    assert list(read.arms) == ["gradients", "volumes", "thickness", "shape", "connectivity", "group_gradients"]
    assert read.groups["order"] == STUDY.groups
    for file in (read.study["participants"], read.study["subjects"], read.arms["connectivity"]["atlas"]):
        assert (study.folder / file).is_file()


def test_files_hold_the_arrays(study):
    """Up to the digits that FreeSurfer and FIRST write."""
    expected = study_arrays(STUDY)
    for index, person in enumerate(read_subject_list(study.table_file)):
        stats = person.freesurfer_dir / "stats"
        aseg = read_stats(stats / "aseg.stats")
        volumes = thalamus_of(aseg.path, aseg.volumes)
        np.testing.assert_allclose([volumes["left"], volumes["right"]], expected.volumes[index], atol=0.051)
        assert icv_of(aseg.path, aseg.volumes) == pytest.approx(expected.icv[index], abs=1e-5)
        for side, hemi in enumerate(("lh", "rh")):
            aparc, areas = (read_stats(stats / f"{hemi}.{name}.stats") for name in ("aparc", "BA_exvivo.thresh"))
            found = {name: row["ThickAvg"] for name, row in {**aparc.rows, **areas.rows}.items()}
            assert list(found) == list(expected.thickness)
            np.testing.assert_allclose(
                list(found.values()), [both[index, side] for both in expected.thickness.values()], atol=5.1e-4
            )
            assert s1_stats(aparc, "aparc")["S1"].mean == found["postcentral"]
            assert set(s1_stats(areas, "ba")) == {"S1", "BA1", "BA2", "BA3a", "BA3b"}
        for side in SIDES:
            mesh = read_triangles(getattr(person, f"mesh_{side}"), side)
            np.testing.assert_allclose(mesh.coordinates, expected.vertices[side][index], atol=5.1e-5)
            np.testing.assert_array_equal(mesh.faces, population_mesh(side).faces)


def test_series_without_files_are_of_the_same_voxels_and_networks(tmp_path):
    options = replace(STUDY, subjects=1, noise=0.0, timepoints=40)
    folder = simulate_cohort(tmp_path / "study", options=options).folder
    scanner = scanner_of(options)
    seeds, targets, confounds = scanner.series(0)
    image = nib.load(next(folder.glob("sub-01/func/*bold.nii.gz"))).get_fdata()
    of_file = image[tuple(scanner.voxels.T)]
    np.testing.assert_array_equal(np.argwhere(nib.load(folder / "thalamus.nii.gz").get_fdata() > 0), scanner.voxels)
    relative = 100 * (of_file / of_file.mean(axis=1, keepdims=True) - 1)
    np.testing.assert_allclose(
        relative.T, seeds - seeds.mean(axis=0), atol=0.02
    )  # steps of 0.5 in 10,000, and 1 % of 1 %
    assert targets.shape == (40, int(nib.load(folder / "cortex.nii.gz").get_fdata().sum()))
    assert all(len(column) == 40 for column in confounds.values())


def test_more_subjects_leave_the_earlier_ones_as_they_are(study):
    larger = replace(STUDY, subjects=9)
    for index, participant_id in enumerate(study.subjects):
        for name, data in structure_files(larger, index, participant_id).items():
            assert (study.folder / name).read_bytes() == data


def test_scans_are_those_of_a_cohort_without_the_other_arms(study, tmp_path):
    plain = simulate_cohort(tmp_path / "plain", options=replace(STUDY, study=False))
    for scan in plain.folder.glob("sub-*/func/*"):
        assert (study.folder / scan.relative_to(plain.folder)).read_bytes() == scan.read_bytes()


def test_meshes_are_closed_and_wound_outwards():
    for side in SIDES:
        mesh = population_mesh(side)
        edges = np.sort(mesh.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
        assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()
        assert len(mesh.vertices) - len(edges) // 2 + len(mesh.faces) == 2
        assert mesh.volume == pytest.approx(MESH_VOLUME)
        assert (mesh.vertices[:, 0] < 0).all() == (side == "left")


def test_meshes_enclose_the_volumes_of_the_stats_in_every_group(arrays):
    """Within the segmentation's error, three of whose SDs are 6 %, and on average well below it."""
    for column, side in enumerate(SIDES):
        inside = [Mesh(vertices, population_mesh(side).faces).volume for vertices in arrays.vertices[side]]
        ratio = np.array(inside) / arrays.volumes[:, column]
        assert np.abs(ratio - 1).max() < 0.09
        for group in range(3):
            assert ratio[arrays.group == group].mean() == pytest.approx(1, abs=0.008)


def test_planted_displacement_keeps_volume_and_place():
    mesh = population_mesh("right")
    _, area = mesh.normals()
    planted = planted_displacement(0.7)
    assert planted.min() == pytest.approx(-0.7)
    assert area @ planted == pytest.approx(0, abs=1e-9)
    anterior = mesh.vertices[:, 1] > np.quantile(mesh.vertices[:, 1], 0.75)
    assert np.abs(planted[anterior]).max() < 0.07 * 0.7


def test_planted_displacement_is_recovered_in_mm(arrays, displaced):
    """100 people a group and an SD of 0.6 mm: the standard error of a difference is 0.08 mm."""
    difference = displaced[arrays.group == 0].mean(axis=0) - displaced[arrays.group == 2].mean(axis=0)
    planted = planted_displacement(STUDY.shape_effect)
    assert np.corrcoef(difference, planted)[0, 1] > 0.95
    assert difference @ planted / (planted @ planted) == pytest.approx(1, abs=0.15)


def test_the_other_patients_have_nobodys_shape(arrays, displaced):
    difference = displaced[arrays.group == 1].mean(axis=0) - displaced[arrays.group == 2].mean(axis=0)
    assert np.abs(difference).max() < 0.4  # five standard errors


def test_no_effect_leaves_everybody_as_the_null(arrays):
    null = study_arrays(replace(STUDY, subjects=3, shape_effect=0.0))
    np.testing.assert_array_equal(null.vertices["left"][1:], arrays.vertices["left"][1:3])
    assert not np.array_equal(null.vertices["left"][0], arrays.vertices["left"][0])


def test_structure_is_that_of_healthy_adults(arrays):
    left, right = arrays.volumes.T
    assert left.mean() == pytest.approx(7600, rel=0.03)
    assert left.std() == pytest.approx(750, rel=0.15)
    assert 0.85 < np.corrcoef(left, right)[0, 1] < 0.97
    assert 0.4 < np.corrcoef(left, arrays.icv)[0, 1] < 0.8
    assert np.corrcoef(left, arrays.age)[0, 1] < -0.15
    assert arrays.icv[~arrays.is_female].mean() > arrays.icv[arrays.is_female].mean() + 1e5
    means = [arrays.thickness[f"{area}_exvivo"].mean() for area in ("BA3b", "BA3a", "BA2", "BA1")]
    assert means == sorted(means)
    assert arrays.thickness["postcentral"].mean() == pytest.approx(2.0, abs=0.05)
    assert all(0.04 < arrays.thickness[region].std() / arrays.thickness[region].mean() < 0.07 for region in S1)


def test_structure_of_a_person_does_not_depend_on_the_group():
    swapped = replace(STUDY, groups=STUDY.groups[::-1], shape_effect=0.0)
    one, other = study_arrays(STUDY), study_arrays(swapped)
    np.testing.assert_array_equal(one.volumes, other.volumes)
    np.testing.assert_array_equal(one.thickness["postcentral"], other.thickness["postcentral"])


def test_truth_says_who_and_where(study):
    with h5py.File(study.truth_file) as truth:
        assert truth.attrs["shape_group"] == "neuCLBP"
        np.testing.assert_array_equal(truth["shape/displacement"][:], planted_displacement(STUDY.shape_effect))
        assert truth["shape/vertices_left"].shape == (642, 3)
        np.testing.assert_allclose(truth["subjects/sub-02"].attrs["volumes"], study_arrays(STUDY).volumes[1])
    words = (study.folder / "truth.md").read_text()
    assert "| shape | neuCLBP |" in words
    assert "| gradients | nonneuCLBP |" in words
    assert "| volumes | nobody |" in words


def test_truth_of_a_null_study_names_nobody():
    assert "| neuCLBP" not in truth_text(replace(STUDY, effect=0.0, shape_effect=0.0)).split("| clinical")[0]


def test_contrasts_begin_with_those_against_the_controls():
    assert contrasts(STUDY.groups) == ["neuCLBP - HC", "nonneuCLBP - HC", "neuCLBP - nonneuCLBP"]
    assert contrasts(("patients", "controls")) == ["patients - controls"]


@pytest.mark.parametrize(
    "wrong", [{"kind": "cifti"}, {"kind": "surface"}, {"groups": ("HC",)}, {"shape_effect": float("nan")}]
)
def test_what_no_study_can_be_made_of_is_a_usage_error(wrong):
    with pytest.raises(UsageError):
        replace(STUDY, **wrong)


@pytest.mark.parametrize("order", [("--study", "{}"), ("{}", "--study")])
def test_the_option_may_stand_before_or_after_the_folder(tmp_path, order):
    arguments = [text.format(tmp_path / "study") for text in order]
    done = CliRunner().invoke(
        app, ["simulate", *arguments, "--subjects", "2", "--groups", "a,b", "--timepoints", "10", "--shape-effect", "0"]
    )
    assert done.exit_code == 0, done.output
    assert f"thalgpu study {tmp_path / 'study' / 'study.toml'}" in done.output
    assert '"a - b"' in (tmp_path / "study" / "study.toml").read_text()


def test_a_study_has_28_people_a_group_unless_told(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        "thalgpu.engine.simulate.cohort.simulate_cohort",
        lambda folder, options, **_: asked.append(options) or simulate_cohort(folder, options=STUDY),
    )
    CliRunner().invoke(app, ["simulate", str(tmp_path / "study"), "--study"])
    assert asked[0].subjects == 84
