"""Damaged files: only InputError may escape, and no damage that a checksum covers may change a number."""

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nibabel.cifti2 import BrainModelAxis, Cifti2Image, SeriesAxis
from nibabel.gifti import GiftiDataArray, GiftiImage

from thalgpu.engine.config import CleaningOptions
from thalgpu.engine.inputs.checked import read_nifti
from thalgpu.engine.inputs.cifti import read_cifti
from thalgpu.engine.inputs.gifti import read_gifti
from thalgpu.engine.inputs.headers import read_header, read_surface_header, volume_grid
from thalgpu.engine.inputs.model import Region, Run, Subject, SubjectSeries, SurfaceGrid
from thalgpu.engine.inputs.series import load_series
from thalgpu.errors import InputError

pytestmark = pytest.mark.fault("damaged scan, surface or confounds")

SHAPE, N, N_VERTICES = (4, 4, 4), 48, 30
AFFINE = np.diag([2.0, 2, 2, 1])
N_EXAMPLES = int(os.environ.get("THALGPU_FUZZ", "120"))
"""Damages tried on each kind of file; raise it by the environment for a long search."""

CLEANING = CleaningOptions(high_pass=0.01, confounds="24p", scrub_fd=0.5)
MOTION = ("trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z")


class Case:
    """A sound subject, the file of it that will be damaged, and the series that it gives."""

    def __init__(self, run: Run, thalamus: Region, cortex: Region, damaged: Path) -> None:
        self.subject, self.thalamus, self.cortex, self.damaged = Subject("01", (run,), 1), thalamus, cortex, damaged
        self.sound = load_series(self.subject, thalamus, cortex, CLEANING, min_coverage=0.8)


def voxels(flat: np.ndarray) -> Region:
    ijk = np.array(np.unravel_index(flat, SHAPE)).T.astype(np.int32)
    return Region("mask.nii", volume_grid(SHAPE, AFFINE), flat, np.zeros(len(flat), np.int8), ijk, ijk * 2.0)


def elements(grid: object, flat: np.ndarray) -> Region:
    return Region("structures", grid, flat, np.zeros(len(flat), np.int8))


def bold(path: Path, rng: np.random.Generator) -> Path:
    image = nib.Nifti1Image(rng.normal(500, 5, (*SHAPE, N)).astype("i2"), AFFINE)
    image.header.set_zooms((2, 2, 2, 2.0))
    image.header.set_xyzt_units("mm", "sec")
    image.to_filename(path)
    return path


def dtseries(path: Path, rng: np.random.Generator) -> Path:
    mask = np.zeros(SHAPE, bool)
    mask[1:3, 1:3, 1:3] = True
    axis = BrainModelAxis.from_surface(np.arange(25), 40, name="CIFTI_STRUCTURE_CORTEX_LEFT")
    axis += BrainModelAxis.from_mask(mask, affine=AFFINE, name="CIFTI_STRUCTURE_THALAMUS_LEFT")
    Cifti2Image(rng.normal(500, 5, (N, 33)).astype("f4"), (SeriesAxis(0, 2, N), axis)).to_filename(path)
    return path


def func_gii(path: Path, rng: np.random.Generator) -> Path:
    rows = rng.normal(500, 5, (N, N_VERTICES)).astype("f4")
    arrays = [GiftiDataArray(row, intent="NIFTI_INTENT_TIME_SERIES", encoding="B64GZ") for row in rows]
    GiftiImage(darrays=arrays).to_filename(path)
    return path


def confounds(path: Path, rng: np.random.Generator) -> Path:
    lines = ["\t".join([*MOTION, "framewise_displacement"])]
    for t, row in enumerate(rng.normal(0, 0.1, (N, 7))):
        lines.append("\t".join([*(f"{x:.4f}" for x in row[:6]), f"{abs(row[6]):.4f}" if t else "n/a"]))
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def cases(tmp_path_factory) -> dict[str, Case]:
    folder, rng = tmp_path_factory.mktemp("sound"), np.random.default_rng(7)
    table = confounds(folder / "confounds.tsv", rng)
    plain, compressed = bold(folder / "bold.nii", rng), bold(folder / "bold.nii.gz", rng)
    dense = dtseries(folder / "bold.dtseries.nii", rng)
    surfaces = func_gii(folder / "L.func.gii", rng), func_gii(folder / "R.func.gii", rng)
    grid = read_header(dense).grid
    inside, outside = voxels(np.arange(8)), voxels(np.arange(20, 50))
    both = elements(SurfaceGrid(N_VERTICES, N_VERTICES), np.arange(0, 2 * N_VERTICES, 2))
    setups = {
        "nii": (Run(plain, confounds=table), inside, outside, plain),
        "nii.gz": (Run(compressed, confounds=table), inside, outside, compressed),
        "dtseries": (
            Run(dense, confounds=table),
            elements(grid, np.arange(25, 33)),
            elements(grid, np.arange(25)),
            dense,
        ),
        "gifti": (Run(plain, surfaces, table), inside, both, surfaces[1]),
        "tsv": (Run(plain, confounds=table), inside, outside, table),
    }
    return {name: Case(*setup) for name, setup in setups.items()}


@st.composite
def damages(draw: st.DrawFn) -> Callable[[bytes], bytes]:
    """A function that flips bits, overwrites, cuts, inserts or repeats something, often near the start."""
    where, bit = draw(st.floats(0, 1, exclude_max=True)), draw(st.integers(0, 7))
    start = draw(st.sampled_from([1.0, 1.0, 0.05]))
    kind = draw(st.sampled_from(["flip", "flip", "flip", "byte", "cut", "insert", "repeat", "drop"]))
    piece = draw(st.binary(min_size=1, max_size=4))

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


def result_or_error(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except InputError as error:
        return error


def load_damaged(case: Case, folder: Path, damage: Callable[[bytes], bytes]) -> SubjectSeries | None:
    """The series of the subject with its damaged file, which must be finite; None for an InputError."""
    path = folder / case.damaged.name
    path.write_bytes(damage(case.damaged.read_bytes()))
    run = case.subject.runs[0]
    surfaces = None if run.surfaces is None else tuple(path if s == case.damaged else s for s in run.surfaces)
    changed = replace(
        run,
        bold=path if run.bold == case.damaged else run.bold,
        confounds=path if run.confounds == case.damaged else run.confounds,
        surfaces=surfaces,
    )
    subject = replace(case.subject, runs=(changed,))
    found = result_or_error(lambda: load_series(subject, case.thalamus, case.cortex, CLEANING, min_coverage=0.8))
    if isinstance(found, InputError):
        assert found.path in case.subject.files + subject.files
        return None
    assert np.isfinite(found.seed).all()
    assert np.isfinite(found.target).all()
    return found


@pytest.mark.parametrize("kind", ["nii", "nii.gz", "dtseries", "gifti", "tsv"])
@settings(
    max_examples=N_EXAMPLES,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(damage=damages())
def test_a_damaged_file_gives_finite_series_or_an_input_error(cases, kind, tmp_path, damage):
    case = cases[kind]
    found = load_damaged(case, tmp_path, damage)
    # A gzip stream is covered by its CRC-32 and length: what is still read is the same to the last bit.
    if found is not None and kind == "nii.gz":
        assert np.array_equal(found.seed, case.sound.seed)
        assert np.array_equal(found.target, case.sound.target)


@pytest.mark.parametrize("kind", ["nii", "nii.gz", "dtseries", "gifti"])
def test_no_truncation_of_an_image_goes_unnoticed(cases, kind, tmp_path):
    size = cases[kind].damaged.stat().st_size
    kept = {*np.linspace(0, size - 1, 40).astype(int).tolist(), *range(size - 8, size)}
    if kind == "gifti":
        kept -= {size - 1}  # the file ends with a line break that belongs to nothing
    for length in sorted(kept):
        assert load_damaged(cases[kind], tmp_path, lambda content, n=length: content[:n]) is None, length


def test_no_flipped_bit_of_compressed_data_goes_unnoticed(cases, tmp_path):
    size = cases["nii.gz"].damaged.stat().st_size
    for at in [*np.linspace(20, size - 9, 60).astype(int).tolist(), *range(size - 8, size)]:
        found = load_damaged(
            cases["nii.gz"], tmp_path, lambda content, n=at: content[:n] + bytes([content[n] ^ 4]) + content[n + 1 :]
        )
        assert found is None or np.array_equal(found.seed, cases["nii.gz"].sound.seed)


@pytest.mark.parametrize(("kind", "read"), [("nii", read_nifti), ("dtseries", read_cifti), ("gifti", read_gifti)])
@settings(
    max_examples=N_EXAMPLES,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(damage=damages())
def test_the_readers_of_whole_files_raise_input_error_only(cases, kind, read, tmp_path, damage):
    path = tmp_path / cases[kind].damaged.name
    path.write_bytes(damage(cases[kind].damaged.read_bytes()))
    found = result_or_error(lambda: read(path))
    assert found.path == path if isinstance(found, InputError) else len(found.sha256) == 64


@settings(
    max_examples=N_EXAMPLES,
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(damage=damages())
def test_the_headers_of_surfaces_raise_input_error_only(cases, tmp_path, damage):
    left = cases["gifti"].subject.runs[0].surfaces[0]
    path = tmp_path / "R.func.gii"
    path.write_bytes(damage(left.read_bytes()))
    found = result_or_error(lambda: read_surface_header((left, path)))
    assert found.path in (left, path) if isinstance(found, InputError) else found.n_timepoints == N


def test_a_folder_in_the_place_of_a_file_is_an_input_error(cases, tmp_path):
    case = cases["nii"]
    (tmp_path / "bold.nii").mkdir()
    run = replace(case.subject.runs[0], bold=tmp_path / "bold.nii")
    with pytest.raises(InputError, match="cannot be"):
        load_series(replace(case.subject, runs=(run,)), case.thalamus, case.cortex, CLEANING, min_coverage=0.8)


def test_a_file_that_vanishes_is_an_input_error(cases, tmp_path):
    case = cases["tsv"]
    gone = tmp_path / "gone.tsv"
    shutil.copy(case.damaged, gone)
    run = replace(case.subject.runs[0], confounds=gone)
    gone.unlink()
    with pytest.raises(InputError, match="cannot be opened"):
        load_series(replace(case.subject, runs=(run,)), case.thalamus, case.cortex, CLEANING, min_coverage=0.8)
