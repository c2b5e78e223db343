"""Damaged maps of subjects: only InputError may escape, and what is read is finite."""

import os
from collections.abc import Callable
from pathlib import Path

import h5py
import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nibabel.cifti2 import BrainModelAxis, Cifti2Image, ScalarAxis
from nibabel.gifti import GiftiDataArray, GiftiImage

from thalgpu.engine.inputs.map_files import read_map_files
from thalgpu.engine.inputs.map_neighbours import read_mesh
from thalgpu.engine.inputs.subject_maps import settle_all
from thalgpu.errors import InputError

pytestmark = pytest.mark.fault("damaged maps or mesh")

N, N_FEATURES = 6, 30
N_EXAMPLES = int(os.environ.get("THALGPU_FUZZ", "120"))
"""Damages tried on each kind of file; raise it by the environment for a long search."""


def nifti(path: Path, values: np.ndarray) -> None:
    nib.save(nib.Nifti1Image(values.T.reshape(2, 3, 5, N), np.diag([2.0, 2, 2, 1])), path)


def dense(path: Path, values: np.ndarray) -> None:
    axis = BrainModelAxis.from_surface(np.arange(18), 40, "CIFTI_STRUCTURE_CORTEX_LEFT")
    axis += BrainModelAxis.from_mask(np.ones((2, 2, 3)), affine=np.eye(4), name="CIFTI_STRUCTURE_THALAMUS_LEFT")
    Cifti2Image(values, (ScalarAxis([f"sub-{n}" for n in range(N)]), axis)).to_filename(path)


def gifti(path: Path, values: np.ndarray) -> None:
    GiftiImage(darrays=[GiftiDataArray(row, intent="NIFTI_INTENT_SHAPE") for row in values]).to_filename(path)


def hdf5(path: Path, values: np.ndarray) -> None:
    with h5py.File(path, "w") as file:
        file["maps"] = values


def deflated(path: Path, values: np.ndarray) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("maps", data=values, compression="gzip", shuffle=True, fletcher32=True)


def npy(path: Path, values: np.ndarray) -> None:
    np.save(path, values)


def table(path: Path, values: np.ndarray) -> None:
    separator = "," if path.suffix == ".csv" else "\t"
    lines = [["participant_id", *(f"f{n}" for n in range(N_FEATURES))]]
    lines += [[f"sub-{n:02d}", *(f"{value:.5g}" for value in row)] for n, row in enumerate(values)]
    path.write_text("".join(separator.join(line) + "\n" for line in lines))


KINDS: dict[str, Callable[[Path, np.ndarray], None]] = {
    "all.nii": nifti,
    "all.nii.gz": nifti,
    "all.dscalar.nii": dense,
    "lh.all.func.gii": gifti,
    "plain.h5": hdf5,
    "deflated.h5": deflated,
    "all.npy": npy,
    "all.tsv": table,
    "all.csv": table,
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> Path:
    """A folder with sound files of every kind."""
    folder, values = tmp_path_factory.mktemp("sound"), np.random.default_rng(5).normal(size=(N, N_FEATURES))
    for name, write in KINDS.items():
        write(folder / name, values.astype(np.float32))
    return folder


@st.composite
def damages(draw: st.DrawFn) -> Callable[[bytes], bytes]:
    """A function that flips a bit, overwrites, cuts, inserts or repeats something, often near the start."""
    where, bit = draw(st.floats(0, 1, exclude_max=True)), draw(st.integers(0, 7))
    start = draw(st.sampled_from([1.0, 1.0, 0.1]))
    kind = draw(st.sampled_from(["flip", "flip", "flip", "byte", "cut", "insert", "repeat", "drop"]))
    piece = draw(st.binary(min_size=1, max_size=8))

    def damage(content: bytes) -> bytes:
        at = int(where * start * len(content))
        return {
            "flip": content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :],
            "byte": content[:at] + piece + content[at + len(piece) :],
            "cut": content[:at],
            "insert": content[:at] + piece + content[at:],
            "repeat": content[:at] + content[at : at + 50] + content[at:],
            "drop": content[:at] + content[at + 3 :],
        }[kind]

    return damage


@pytest.mark.parametrize("name", KINDS)
def test_undamaged_maps_are_read(name, sound):
    (found,) = settle_all(read_map_files([sound / name]))
    assert found.values.shape == (N, N_FEATURES)


@pytest.mark.parametrize("name", KINDS)
@settings(
    max_examples=N_EXAMPLES,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(damage=damages())
def test_damaged_maps_are_finite_or_an_input_error(name, damage, sound, tmp_path):
    (tmp_path / name).write_bytes(damage((sound / name).read_bytes()))
    try:
        (found,) = settle_all(read_map_files([tmp_path / name]))
    except InputError as error:
        found = error
    if isinstance(found, InputError):
        assert found.path == tmp_path / name
        return
    assert np.isfinite(found.values).all()
    assert np.ptp(found.values, axis=0).all()


@settings(
    max_examples=N_EXAMPLES,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(damage=damages())
def test_a_damaged_list_is_an_input_error(damage, tmp_path):
    for number in range(3):
        np.save(tmp_path / f"sub-{number}.npy", np.ones((2, 2)))
    text = "# maps\nsub-0.npy\nsub-1.npy  # second\nsub-2.npy\n"
    (tmp_path / "list.txt").write_bytes(damage(text.encode()))
    with pytest.raises(InputError):  # no array can be listed, so that even a sound list ends in one
        settle_all(read_map_files([tmp_path / "list.txt"]))


@settings(
    max_examples=N_EXAMPLES,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(damage=damages())
def test_a_damaged_mesh_is_an_input_error_or_sound(damage, tmp_path):
    points = np.random.default_rng(5).normal(size=(8, 3)).astype(np.float32)
    triangles = np.array([[0, 1, 2], [3, 4, 5], [5, 6, 7]], dtype=np.int32)
    arrays = [
        GiftiDataArray(points, intent="NIFTI_INTENT_POINTSET"),
        GiftiDataArray(triangles, intent="NIFTI_INTENT_TRIANGLE"),
    ]
    (tmp_path / "lh.surf.gii").write_bytes(damage(GiftiImage(darrays=arrays).to_bytes()))
    try:
        mesh = read_mesh(tmp_path / "lh.surf.gii")
    except InputError:
        return
    assert np.isfinite(mesh.coordinates).all()
    assert mesh.faces.max() < len(mesh.coordinates)
