"""Whatever bytes come as stats, table, mesh, surface or list: a sound answer, or an error with the file's name."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel.freesurfer import write_annot, write_geometry, write_morph_data

from thalgpu.engine.inputs.freesurfer_binary import read_annotation, read_label, read_mgh, read_morph, read_surface
from thalgpu.engine.inputs.freesurfer_stats import icv_of, read_nuclei, read_stats, s1_stats, thalamus_of
from thalgpu.engine.inputs.mesh_files import read_triangles
from thalgpu.engine.inputs.stats_tables import read_stats_table, s1_of_tables, volumes_of_tables
from thalgpu.engine.inputs.structure_list import read_structure_list
from thalgpu.engine.inputs.thalamus_labels import read_thalamus_labels
from thalgpu.engine.inputs.thickness_maps import read_s1_parcels, read_thickness_map
from thalgpu.errors import InputError, ThalgpuWarning

N_EXAMPLES = int(os.environ.get("THALGPU_FUZZ", "100"))
pytestmark = pytest.mark.fault("damaged FreeSurfer, FIRST or table file")

T = TypeVar("T")

ASEG = (
    b"# Measure eTIV, eTIV, x, 1500000, mm^3\n# NRows 2\n# ColHeaders Index Volume_mm3 StructName\n"
    b"1 7000.5 Left-Thalamus\n2 6900 Right-Thalamus\n"
)
APARC = b"# hemi lh\n# ColHeaders StructName NumVert SurfArea ThickAvg\npostcentral 10 30 2.1\n"
TABLE = b"lh.aparc.thickness\tlh_postcentral_thickness\tLeft-Thalamus\tRight-Thalamus\nsub-01\t2.1\t7000\t6900\n"
NUCLEI = b"Left-MDm 700.5\nRight-MDm 690\n"
LIST = b"participant_id\taseg\tmesh_left\n01\tlist\tn/a\n02\tn/a\tother\n"
LABEL = b"#!ascii label\n2\n3 0 0 0 0\n5 0 0 0 0\n"
VTK = (
    b"# vtk DataFile Version 3.0\nx\nASCII\nDATASET POLYDATA\nPOINTS 3 float\n0 0 0 1 0 0 0 1 0\nPOLYGONS 1 4\n3 0 1 2"
)
BINARY_VTK = (
    b"# vtk DataFile Version 3.0\nx\nBINARY\nDATASET POLYDATA\nPOINTS 3 float\n"
    + np.eye(3, dtype=">f4").tobytes()
    + b"\nPOLYGONS 1 4\n"
    + np.array([3, 0, 1, 2], ">i4").tobytes()
)


def written(name: str, write: Callable[[str], object]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        write(str(Path(folder, name)))
        return Path(folder, name).read_bytes()


CURV = written("lh.thickness", lambda path: write_morph_data(path, np.linspace(1, 3, 12)))
SURFACE = written("lh.white", lambda path: write_geometry(path, np.eye(3), np.array([[0, 1, 2]]), "made by nobody"))
ANNOT = written(
    "lh.aparc.annot",
    lambda path: write_annot(
        path, np.arange(12) % 2, np.array([[9, 9, 9, 0, 0], [8, 7, 6, 0, 0]], np.int32), [b"x", b"postcentral"]
    ),
)
SEGMENTATION = np.zeros((4, 3, 3), np.int16)
SEGMENTATION[1], SEGMENTATION[2] = 10, 49
MGH = written("aseg.mgh", lambda path: nib.save(nib.MGHImage(SEGMENTATION, np.eye(4)), path))
NIFTI = nib.Nifti1Image(SEGMENTATION, np.eye(4)).to_bytes()
GIFTI = written(
    "t.gii",
    lambda path: nib.save(nib.gifti.GiftiImage(darrays=[nib.gifti.GiftiDataArray(np.ones(4, np.float32))]), path),
)


def damaged(sound: bytes) -> st.SearchStrategy[bytes]:
    """A sound file cut short, or with a piece replaced: by other bytes, by NaN, and by counts and numbers that lie."""
    at = st.integers(0, len(sound))
    lies = [
        b"-9e99",
        b"\x7f\xa0\x00\x01",
        b"nan",
        b"inf",
        b"99999999999",
        b"-1",
        b"\t",
        b"\n",
        b"#",
        b"\x1f\x8b",
        b"\x7f\xff\xff\xff",
        b"\xff" * 4,
    ]
    other = st.one_of(st.binary(max_size=6), st.sampled_from(lies))
    replaced = st.builds(lambda i, n, new: sound[:i] + new + sound[i + n :], at, st.integers(0, 9), other)
    return st.one_of(replaced, replaced, st.builds(lambda i: sound[:i], at))


def outcome(read: Callable[[Path], T], name: str, content: bytes) -> T | None:
    """What is read, or None for an error, which must fill one line, name the file and say what to do."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(content)
        try:
            return read(path)
        except InputError as error:
            found = error
    assert found.remedy or "control character" in found.reason
    assert "\n" not in str(found)
    assert name in str(found)
    return None


@settings(max_examples=N_EXAMPLES, deadline=None)
@given(damaged(ASEG))
def test_damaged_volumes_are_credible_or_refused(content: bytes) -> None:
    def read(path: Path) -> list[float]:
        volumes = read_stats(path).volumes
        return [*thalamus_of(path, volumes).values(), icv_of(path, volumes) or 1.0]

    found = outcome(read, "aseg.stats", content)
    assert found is None or (np.isfinite(found).all() and min(found) > 0)


@settings(max_examples=N_EXAMPLES, deadline=None)
@given(damaged(APARC), damaged(NUCLEI))
def test_damaged_thickness_and_nuclei_are_credible_or_refused(aparc: bytes, nuclei: bytes) -> None:
    areas = outcome(lambda path: s1_stats(read_stats(path), "aparc"), "lh.aparc.stats", aparc)
    assert areas is None or 0 < areas["S1"].mean < 10
    volumes = outcome(read_nuclei, "ThalamicNuclei.volumes.txt", nuclei)
    assert volumes is None or (np.isfinite([*volumes[0].values()]).all() and min(volumes[0].values()) >= 0)


@settings(max_examples=N_EXAMPLES, deadline=None)
@given(damaged(TABLE))
def test_a_damaged_table_is_credible_or_refused(content: bytes) -> None:
    def read(path: Path) -> list[float]:
        table = read_stats_table(path)
        volumes = volumes_of_tables([table], "01") or table.row("01")
        areas = s1_of_tables([table], "01", "aparc")
        return [*thalamus_of(path, volumes).values(), *(area["S1"].mean for area in areas.values())]

    found = outcome(read, "table.txt", content)
    assert found is None or (np.isfinite(found).all() and min(found) > 0)


@settings(max_examples=N_EXAMPLES, deadline=None)
@given(st.one_of(damaged(VTK), damaged(BINARY_VTK)), damaged(SURFACE))
def test_a_damaged_mesh_is_whole_or_refused(vtk: bytes, surface: bytes) -> None:
    for mesh in (outcome(read_triangles, "mesh.vtk", vtk), outcome(read_surface, "lh.white", surface)):
        if mesh is not None:
            assert np.isfinite(mesh.coordinates).all()
            assert 0 <= mesh.faces.min() <= mesh.faces.max() < len(mesh.coordinates)


@settings(max_examples=N_EXAMPLES, deadline=None)
@given(damaged(CURV), damaged(ANNOT), damaged(LABEL))
def test_damaged_surface_values_are_whole_or_refused(curv: bytes, annot: bytes, label: bytes) -> None:
    morph = outcome(read_morph, "lh.thickness", curv)
    assert morph is None or np.isfinite(morph[0]).all()
    annotation = outcome(read_annotation, "lh.aparc.annot", annot)
    assert annotation is None or annotation.labels.max(initial=-1) < len(annotation.names)
    outcome(lambda path: read_s1_parcels(path, "left", "aparc"), "lh.aparc.annot", annot)
    vertices = outcome(lambda path: read_label(path, 12), "lh.x.label", label)
    assert vertices is None or (0 <= vertices[0].min() <= vertices[0].max() < 12)


@settings(max_examples=N_EXAMPLES, deadline=None)
@given(damaged(MGH), damaged(NIFTI), damaged(GIFTI))
def test_damaged_images_are_whole_or_refused(mgh: bytes, nifti: bytes, gifti: bytes) -> None:
    for name, content in (("aseg.mgh", mgh), ("aseg.nii", nifti)):
        labels = outcome(read_thalamus_labels, name, content)
        assert labels is None or all(np.isfinite(v) and v > 0 for v in labels.volumes.values())
    for name, content in (("t.mgh", mgh), ("t.gii", gifti)):
        thickness = outcome(lambda path: read_thickness_map(path, "left"), name, content)
        assert thickness is None or np.isfinite(thickness.values).all()
    outcome(read_mgh, "x.mgh", mgh)


@pytest.mark.filterwarnings(f"ignore::{ThalgpuWarning.__module__}.{ThalgpuWarning.__qualname__}")
@settings(max_examples=N_EXAMPLES, deadline=None)
@given(st.one_of(damaged(LIST), damaged(b"sub-01\n0012\n# x\n"), st.binary(max_size=40)))
def test_a_damaged_list_is_read_whole_or_refused(content: bytes) -> None:
    subjects = outcome(lambda path: read_structure_list(path, tables=True), "list", content)
    if subjects is not None:
        ids = [subject.participant_id for subject in subjects]
        assert len(set(ids)) == len(ids) > 0
        assert all(label.isalnum() for label in ids)
