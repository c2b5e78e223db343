"""A subject folder of FreeSurfer, made with nibabel's writers."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nibabel.freesurfer import MGHImage, write_annot, write_geometry, write_morph_data

from thalgpu.engine.inputs.freesurfer_binary import read_annotation, read_label, read_mgh, read_morph, read_surface
from thalgpu.engine.inputs.freesurfer_folder import (
    open_freesurfer,
    read_common_thickness,
    read_folder_parcels,
    read_native_s1,
    read_s1_stats,
    read_volumes,
)
from thalgpu.errors import InputError

N = 40
S1 = np.arange(10, 20)
ASEG = (
    "# Measure eTIV, eTIV, x, 1500000, mm^3\n# ColHeaders Index SegId NVoxels Volume_mm3 StructName\n"
    "1 10 7 7000 Left-Thalamus\n2 49 7 6900 Right-Thalamus\n"
)
APARC = "# hemi lh\n# ColHeaders StructName NumVert SurfArea GrayVol ThickAvg\npostcentral 10 30 60 2.1\n"


def label(path: Path, vertices: np.ndarray) -> None:
    rows = "".join(f"{v}  0.0  0.0  0.0 0.0\n" for v in vertices)
    path.write_text(f"#!ascii label  , from subject  vox2ras=TkReg\n{len(vertices)}\n{rows}")


@pytest.fixture
def person(tmp_path: Path) -> Path:
    """Left hemisphere only; thickness is 1 + vertex / 100 mm, area 0.5 + vertex / 50 mm²."""
    folder = tmp_path / "sub-01"
    for name in ("stats", "surf", "label", "mri"):
        (folder / name).mkdir(parents=True)
    (folder / "stats/aseg.stats").write_text(ASEG)
    (folder / "stats/lh.aparc.stats").write_text(APARC)
    vertices = np.arange(N, dtype=np.float32)
    write_morph_data(folder / "surf/lh.thickness", 1 + vertices / 100)
    write_morph_data(folder / "surf/lh.area", 0.5 + vertices / 50)
    labels = np.full(N, -1)
    labels[S1], labels[30:] = 1, 0
    table = np.array([[25, 5, 25, 0, 0], [220, 20, 20, 0, 0]], dtype=np.int32)
    write_annot(folder / "label/lh.aparc.annot", labels, table, [b"unknown", b"postcentral"], fill_ctab=True)
    for area, at in (("1", 10), ("2", 12), ("3a", 14), ("3b", 16)):
        label(folder / f"label/lh.BA{area}_exvivo.label", np.arange(at, at + 5))
        label(folder / f"label/lh.BA{area}_exvivo.thresh.label", np.arange(at, at + 2))
    for fwhm in (0, 10):
        values = (vertices + 1).reshape(N, 1, 1) / (10 + fwhm)
        nib.save(MGHImage(values, np.eye(4)), folder / f"surf/lh.thickness.fwhm{fwhm}.fsaverage.mgh")
    return folder


def test_volumes_and_nuclei(person: Path) -> None:
    for name, volume in (("ThalamicNuclei.v12.T1.volumes.txt", 1), ("ThalamicNuclei.v13.T1.volumes.txt", 800)):
        (person / "mri" / name).write_text(f"Left-MDm {volume}\n")
    found = read_volumes(open_freesurfer(person))
    assert (found.thalamus, found.icv) == ({"left": 7000, "right": 6900}, 1500000)
    assert found.nuclei == {"MDm_left": 800}  # the newer kind
    assert sorted(path.name for path in found.sha256) == ["ThalamicNuclei.v13.T1.volumes.txt", "aseg.stats"]
    assert read_volumes(open_freesurfer(person), nuclei=False).nuclei == {}


def test_nuclei_of_two_files_need_both(person: Path) -> None:
    text = "# ColHeaders Index SegId NVoxels Volume_mm3 StructName\n1 8 0 90.5 AV\n"
    (person / "stats/thalamic-nuclei.lh.v12.T1.stats").write_text(text)
    assert read_volumes(open_freesurfer(person)).nuclei == {}
    (person / "stats/thalamic-nuclei.rh.v12.T1.stats").write_text(text.replace("90.5", "91.5"))
    assert read_volumes(open_freesurfer(person)).nuclei == {"AV_left": 90.5, "AV_right": 91.5}


def test_thickness_of_s1_from_stats(person: Path) -> None:
    areas, sha256 = read_s1_stats(open_freesurfer(person), "left", "aparc")
    assert (areas["S1"].mean, areas["S1"].area, areas["S1"].n_vertices) == (2.1, 30, 10)
    assert [path.name for path in sha256] == ["lh.aparc.stats"]


def test_stats_of_the_other_hemisphere_are_refused(person: Path) -> None:
    (person / "stats/rh.aparc.stats").write_text(APARC)
    with pytest.raises(InputError, match="stats of the left hemisphere by its own header"):
        read_s1_stats(open_freesurfer(person), "right", "aparc")


def test_s1_vertex_by_vertex(person: Path) -> None:
    found = read_native_s1(open_freesurfer(person), "left", "aparc")
    assert np.array_equal(np.flatnonzero(found.parcels.masks["S1"]), S1)
    np.testing.assert_allclose(found.thickness.values[S1], 1 + S1 / 100, rtol=1e-7)  # stored as float32
    assert found.area is not None
    np.testing.assert_allclose(found.area[S1], 0.5 + S1 / 50, rtol=1e-7)
    assert {path.name for path in found.sha256} == {"lh.thickness", "lh.area", "lh.aparc.annot"}


def test_brodmann_areas_are_the_thresholded_ones_where_all_are(person: Path) -> None:
    masks = read_native_s1(open_freesurfer(person), "left", "ba").parcels.masks
    assert {name: np.flatnonzero(mask).tolist() for name, mask in masks.items()} == {
        "S1": list(range(10, 18)), "BA1": [10, 11], "BA2": [12, 13], "BA3a": [14, 15], "BA3b": [16, 17]
    }  # fmt: skip
    (person / "label/lh.BA2_exvivo.thresh.label").unlink()
    masks = read_native_s1(open_freesurfer(person), "left", "ba").parcels.masks
    assert np.flatnonzero(masks["BA3b"]).tolist() == [16, 17, 18, 19, 20]


def test_thickness_on_the_common_surface_by_its_smoothing(person: Path) -> None:
    folder = open_freesurfer(person)
    np.testing.assert_allclose(read_common_thickness(folder, "left", 10).values, (np.arange(N) + 1) / 20, rtol=1e-7)
    with pytest.raises(InputError, match=r"no surf/lh.thickness.fwhm5.fsaverage.mgh; it has 0, 10 mm"):
        read_common_thickness(folder, "left", 5)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda f: write_morph_data(f / "surf/lh.thickness", np.ones(N + 1)), "41 vertices where .* has 40"),
        (lambda f: write_morph_data(f / "surf/lh.area", np.ones(N + 1)), "41 areas"),
        (lambda f: write_morph_data(f / "surf/lh.area", -np.ones(N)), "from -1 mm²"),
        (lambda f: write_morph_data(f / "surf/lh.thickness", np.full(N, 50)), "are no thickness in mm"),
        (lambda f: write_morph_data(f / "surf/lh.thickness", np.full(N, np.nan)), "NaN or Inf"),
        (lambda f: (f / "surf/lh.thickness").unlink(), "no surf/lh.thickness"),
        (lambda f: (f / "label/lh.aparc.annot").unlink(), "no label/lh.aparc.annot"),
    ],
)
def test_a_spoilt_hemisphere_is_refused(person: Path, spoil, reason: str) -> None:
    spoil(person)
    with pytest.raises(InputError, match=reason):
        read_native_s1(open_freesurfer(person), "left", "aparc")


def test_a_label_of_another_surface_is_refused(person: Path) -> None:
    with pytest.raises(InputError, match="vertex 13 of a surface of 12"):
        read_folder_parcels(open_freesurfer(person), "left", "ba", 12)


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no stats, surfaces or segmentation in it"):
        open_freesurfer(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        open_freesurfer(tmp_path / "sub-02")


def test_what_is_not_there_is_named(person: Path) -> None:
    folder = open_freesurfer(person)
    with pytest.raises(InputError, match="no stats of aparc for the right hemisphere"):
        read_s1_stats(folder, "right", "aparc")
    with pytest.raises(InputError, match=r"no label/lh\.HCP-MMP1\.annot or"):
        read_native_s1(folder, "left", "glasser")
    (person / "stats/aseg.stats").unlink()
    with pytest.raises(InputError, match=r"no stats/aseg\.stats"):
        read_volumes(open_freesurfer(person))


def test_annotations_read_as_nibabel_reads_them(tmp_path: Path, rng: np.random.Generator) -> None:
    labels = rng.integers(-1, 5, size=50)
    table = np.column_stack([rng.permutation(200)[:5], rng.integers(0, 255, size=(5, 2)), np.zeros((5, 2), int)])
    names = [b"a", b"Medial wall", b"postcentral", b"x", "é".encode()]
    path = tmp_path / "lh.x.annot"
    write_annot(path, labels, table.astype(np.int32), names, fill_ctab=True)
    found = read_annotation(path)
    assert np.array_equal(found.labels, labels)
    assert found.names == ("a", "Medial wall", "postcentral", "x", "é")


def test_surfaces_read_as_nibabel_reads_them(tmp_path: Path, rng: np.random.Generator) -> None:
    points, faces = rng.normal(size=(4, 3)).astype(np.float32), np.array([[0, 1, 2], [1, 2, 3]])
    write_geometry(tmp_path / "lh.white", points, faces, create_stamp="created by nobody")
    mesh = read_surface(tmp_path / "lh.white")
    assert np.array_equal(mesh.coordinates, points.astype(np.float64))
    assert np.array_equal(mesh.faces, faces)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.float32])
@pytest.mark.parametrize("suffix", ["mgh", "mgz"])
def test_mgh_images_read_as_nibabel_reads_them(tmp_path: Path, rng: np.random.Generator, dtype, suffix: str) -> None:
    values = rng.integers(0, 100, size=(3, 4, 5)).astype(dtype)
    affine = np.array([[-1.0, 0.1, 0, 90], [0, 0, 2, -120], [0, -1.5, 0, 70], [0, 0, 0, 1]])
    path = tmp_path / f"aseg.{suffix}"
    nib.save(MGHImage(values, affine), path)
    image = read_mgh(path)
    assert np.array_equal(image.values, values)
    np.testing.assert_allclose(image.affine, affine, atol=1e-4)  # the header holds float32


@pytest.mark.parametrize(
    ("read", "name"),
    [(read_morph, "surf/lh.thickness"), (read_annotation, "label/lh.aparc.annot"),
     (read_label, "label/lh.BA1_exvivo.label"), (read_mgh, "surf/lh.thickness.fwhm0.fsaverage.mgh")],
)  # fmt: skip
def test_a_file_cut_anywhere_is_refused(person: Path, read, name: str) -> None:
    path = person / name
    whole = path.read_bytes()
    for size in {0, 1, 3, 8, 20, len(whole) // 2, len(whole) - 160}:  # nibabel's MGH ends with optional tags
        path.write_bytes(whole[: max(size, 0)])
        with pytest.raises(InputError):
            read(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("10\n", "not a FreeSurfer label"),
        ("#!ascii\n3\n1 0 0 0 0\n", "1 rows where it says '3'"),
        ("#!ascii\n99999999999\n1 0 0 0 0\n", "1 rows where it says '99999999999'"),
        ("#!ascii\n1\n-1 0 0 0 0\n", "'-1' is no vertex"),
        ("#!ascii\n0\n", "no vertex"),
    ],
)
def test_a_damaged_label_is_refused(tmp_path: Path, content: str, reason: str) -> None:
    (tmp_path / "lh.x.label").write_text(content)
    with pytest.raises(InputError, match=reason):
        read_label(tmp_path / "lh.x.label")


def old_annotation(n_names: int) -> bytes:
    """Three vertices of the first format: the colour table begins with the number of its names."""
    numbers = np.array([3, 0, 1 + 256 * 2, 1, 0, 2, 7, 1, n_names, 2], ">i4").tobytes() + b"t\0"
    return numbers + np.array([12], ">i4").tobytes() + b"postcentral\0" + np.array([1, 2, 0, 0], ">i4").tobytes()


def test_annotations_of_the_first_format_are_read(tmp_path: Path) -> None:
    path = tmp_path / "lh.x.annot"
    path.write_bytes(old_annotation(1))
    found = read_annotation(path)
    assert (found.names, found.labels.tolist()) == (("postcentral",), [0, -1, -1])  # 7 is no colour of the table
    for n_names, reason in (
        (2, "more than the rest"),
        (10**9, "a colour table of 1000000000 names"),
        (-3, "version 3"),
    ):
        path.write_bytes(old_annotation(n_names))
        with pytest.raises(InputError, match=reason):
            read_annotation(path)
