"""`thalgpu permute` on maps of every kind and designs of every kind: out comes what went in."""

import csv
import json
from pathlib import Path
from types import SimpleNamespace

import h5py
import nibabel as nib
import numpy as np
import pytest
from nibabel.cifti2.cifti2 import Cifti2Image
from nibabel.cifti2.cifti2_axes import BrainModelAxis, ScalarAxis
from nibabel.gifti.gifti import GiftiDataArray, GiftiImage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from thalgpu import permutation_test
from thalgpu.engine.pipelines import permute_page

N, SHAPE, N_PERM = 12, (7, 6, 5), 200
AFFINE = np.array([[-2.0, 0, 0, 7], [0, 3, 0, -20], [0, 0, 2.5, 11], [0, 0, 0, 1]])
GROUP = np.tile([0, 1], N // 2)
AGE = np.array([31, 45, 27, 52, 38, 41, 60, 33, 29, 48, 36, 55])
DESIGN = np.column_stack([GROUP == 0, GROUP == 1, AGE - AGE.mean()]).astype(float)
CONTRAST = "bMinusA"
BLOB = (slice(4, 7), slice(1, 4), slice(1, 3))


@pytest.fixture(scope="module")
def permute(thalgpu, tmp_path_factory):
    """The command in this process, without the page."""
    folder = tmp_path_factory.mktemp("design")
    rows = [
        f"sub-{n:02d}\t{'ab'[group]}\t{age}" for n, (group, age) in enumerate(zip(GROUP, AGE, strict=True), start=1)
    ]
    (folder / "participants.tsv").write_text("\n".join(["participant_id\tgroup\tage", *rows]))
    model = ("--design", folder / "participants.tsv", "--formula", "group + age", "--contrast", "b - a")

    def run(*arguments: object, design: tuple[object, ...] = model) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(permute_page, "render_permute", lambda page: "")
            done = thalgpu("permute", *arguments, *design, "--n-perm", N_PERM, "--workers", 1)
        assert done.exit_code == 0, done.err

    return run


@pytest.fixture(scope="module")
def values() -> np.ndarray:
    """(N, *SHAPE) float32: group b is higher in one corner; one plane is empty."""
    values = np.random.default_rng(5).normal(size=(N, *SHAPE)).astype(np.float32)
    values[(GROUP == 1, *BLOB)] += 4
    values[:, 0] = 0
    return values


def contents(path: Path) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: found.update({name: item[:]}) if isinstance(item, h5py.Dataset) else None)
    return found


def table(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text().splitlines(), delimiter="\t"))


def array(values, intent="NIFTI_INTENT_SHAPE", datatype="NIFTI_TYPE_FLOAT32"):
    return GiftiDataArray(values, intent=intent, datatype=datatype)


@pytest.fixture(scope="module")
def volumes(permute, values, tmp_path_factory) -> SimpleNamespace:
    """A 4-D image, and the test of it with an atlas of two nuclei."""
    folder = tmp_path_factory.mktemp("volumes")
    nib.save(nib.Nifti1Image(np.moveaxis(values, 0, -1), AFFINE), folder / "all.nii.gz")
    labels = np.ones(SHAPE, dtype=np.int16)
    labels[4:] = 2
    nib.save(nib.Nifti1Image(labels, AFFINE), folder / "atlas.nii.gz")
    (folder / "atlas.tsv").write_text("index\tname\n1\tPulvinar\n2\tVPL\n")
    permute(folder / "all.nii.gz", "--tfce", "--atlas", folder / "atlas.nii.gz", "--out", folder / "out")
    return SimpleNamespace(image=folder / "all.nii.gz", out=folder / "out", folder=folder)


def test_a_peak_is_where_the_difference_was_planted(volumes, values):
    peak, *others = table(volumes.out / "peaks.tsv")
    assert others == []
    found = contents(volumes.out / "results.h5")
    p, ijk = found[f"contrasts/{CONTRAST}/p_fwe_tfce"], found["features/voxel_ijk"]
    blob = np.zeros(SHAPE, dtype=bool)
    blob[BLOB] = True
    significant = ijk[p <= 0.05]
    assert blob[tuple(significant.T)].sum() == blob.sum(), "all of it is found"
    assert len(significant) < 2 * blob.sum(), "and little beside it"
    at = int(np.argmax(np.where(p <= 0.05, found[f"contrasts/{CONTRAST}/stat"], 0)))
    assert int(peak["peak_feature"]) == at
    assert blob[tuple(ijk[at])]
    place = nib.affines.apply_affine(AFFINE, ijk[at])
    np.testing.assert_allclose([float(peak[axis]) for axis in "xyz"], place)
    assert (peak["contrast"], peak["sign"], peak["p_source"]) == ("b - a", "+", "p_fwe_tfce")
    assert (peak["n_features"], peak["unit"]) == (str(len(significant)), "mm3")
    assert float(peak["size"]) == len(significant) * 15.0  # mm³ of a voxel
    assert peak["name"] == "VPL"
    assert peak["hemisphere"] == ("L" if place[0] < 0 else "R")
    assert float(peak["p_low"]) <= float(peak["p"]) <= float(peak["p_high"])
    assert float(peak["effect"]) == pytest.approx(found[f"contrasts/{CONTRAST}/hedges_g"][at], rel=1e-7)  # 8 digits


def test_peaks_are_the_clusters_that_were_tested(permute, values, tmp_path):
    """Two blocks of voxels that touch by their corners: one cluster where clusters have 26 neighbours."""
    values = values.copy()
    values[(GROUP == 1, *BLOB)] -= 4
    for corner in (2, 4):
        values[GROUP == 1, corner : corner + 2, corner - 2 : corner, corner - 1 : corner + 1] += 8
    nib.save(nib.Nifti1Image(np.moveaxis(values, 0, -1), AFFINE), tmp_path / "all.nii.gz")
    permute(tmp_path / "all.nii.gz", "--cluster-threshold", 4.5, "--out", tmp_path / "out")
    extent = contents(tmp_path / "out/results.h5")[f"contrasts/{CONTRAST}/cluster_extent"]
    peaks = table(tmp_path / "out/peaks.tsv")
    assert [row["n_features"] for row in peaks] == [f"{extent.max():.0f}"] == ["16"]


def test_columns_of_the_peaks_are_those_of_the_interface(volumes):
    (peak,) = table(volumes.out / "peaks.tsv")
    assert {"contrast", "map", "cluster", "n_features", "size", "peak", "x", "y", "z", "p", "name"} <= set(peak)


def test_voxels_without_values_are_not_tested(volumes):
    found = contents(volumes.out / "results.h5")
    assert found["features/voxel_ijk"][:, 0].min() == 1
    p = nib.load(volumes.out / f"contrast-{CONTRAST}_stat-pfwe_statmap.nii.gz").get_fdata()
    assert (p[0] == 1).all()


def test_a_mask_narrows_the_test(permute, volumes, values, tmp_path):
    mask = np.zeros(SHAPE, dtype=np.uint8)
    mask[4:6] = 1
    nib.save(nib.Nifti1Image(mask, AFFINE), tmp_path / "mask.nii.gz")
    permute(volumes.image, "--mask", tmp_path / "mask.nii.gz", "--out", tmp_path / "out")
    found = contents(tmp_path / "out/results.h5")
    expected = permutation_test(values[:, mask > 0].astype(float), DESIGN, [-1, 1, 0], n_perm=N_PERM)
    np.testing.assert_array_equal(found[f"contrasts/{CONTRAST}/p_fwe"], expected.p_fwe[0])


def test_arrays_give_a_table_with_the_numbers_of_the_columns(permute, values, tmp_path):
    matrix = values.reshape(N, -1)[:, :60].astype(np.float64)  # the first 30 columns are the same in everybody
    np.save(tmp_path / "maps.npy", matrix)
    permute(tmp_path / "maps.npy", "--out", tmp_path / "out")
    rows = table(tmp_path / "out/results.tsv")
    expected = permutation_test(matrix[:, 30:], DESIGN, [-1, 1, 0], n_perm=N_PERM)
    assert [row["feature"] for row in rows] == [f"feature {k}" for k in range(31, 61)]
    assert {name.partition("_")[2] for name in rows[0]} == {"", "t", "p", "pfwe", "pfdr", "estimate", "hedgesg"}
    for name, row in (("t", expected.t), ("p", expected.p), ("pfwe", expected.p_fwe), ("pfdr", expected.p_fdr)):
        found = [float(line[f"{CONTRAST}_{name}"]) for line in rows]
        np.testing.assert_allclose(found, row[0], rtol=1e-7)  # 8 digits
    assert not list((tmp_path / "out").glob("*_statmap.*"))


def test_tables_are_matched_by_participant_and_give_a_table_with_their_columns(permute, values, tmp_path):
    matrix, order = values[:, 5, 2, :4].astype(np.float64), np.random.default_rng(1).permutation(N)
    lines = [f"sub-{n + 1:02d}\t" + "\t".join(map(repr, matrix[n].tolist())) for n in order]
    (tmp_path / "volumes.tsv").write_text("\n".join(["participant_id\tVPL\tMD\tPul\tCM", *lines]))
    permute(tmp_path / "volumes.tsv", "--out", tmp_path / "out")  # subjects are in the order of the participants
    rows = table(tmp_path / "out/results.tsv")
    assert [row["feature"] for row in rows] == ["VPL", "MD", "Pul", "CM"]
    expected = permutation_test(matrix, DESIGN, [-1, 1, 0], n_perm=N_PERM)
    np.testing.assert_array_equal(
        contents(tmp_path / "out/results.h5")[f"null/{CONTRAST}/stat"], expected.null_max["stat"][0]
    )
    assert {row["name"] for row in table(tmp_path / "out/peaks.tsv")} <= {"VPL", "MD", "Pul", "CM"}


def test_the_order_in_which_maps_are_named_changes_no_number(permute, values, volumes, tmp_path):
    files = [tmp_path / f"sub-{n:02d}_stat.nii.gz" for n in range(1, N + 1)]
    for path, one in zip(files, values, strict=True):
        nib.save(nib.Nifti1Image(one, AFFINE), path)
    (tmp_path / "list.txt").write_text("\n".join(path.name for path in reversed(files)))
    permute(tmp_path / "list.txt", "--tfce", "--out", tmp_path / "out")
    found, expected = contents(tmp_path / "out/results.h5"), contents(volumes.out / "results.h5")
    assert set(found) == set(expected)
    for name, numbers in expected.items():
        np.testing.assert_array_equal(found[name], numbers, err_msg=name)


def test_grayordinates_give_grayordinates(permute, values, tmp_path):
    vertices = np.arange(0, 60, 2)
    axis = BrainModelAxis.from_surface(vertices, 64, "CIFTI_STRUCTURE_CORTEX_LEFT")
    thalamus = np.zeros(SHAPE, dtype=bool)
    thalamus[BLOB] = True
    axis = axis + BrainModelAxis.from_mask(thalamus, "CIFTI_STRUCTURE_THALAMUS_LEFT", AFFINE)
    rows = np.hstack([values.reshape(N, -1)[:, 60:90], values[:, thalamus]])
    rows[:, 3] = 1.0
    for n, row in enumerate(rows, start=1):
        header = (ScalarAxis(["thickness"]), axis)
        nib.save(Cifti2Image(row[None], header), tmp_path / f"sub-{n:02d}_thickness.dscalar.nii")
    permute(*sorted(tmp_path.glob("*.dscalar.nii")), "--out", tmp_path / "out")
    image = nib.load(tmp_path / f"out/contrast-{CONTRAST}_stat-pfwe_statmap.dscalar.nii")
    assert image.header.get_axis(1) == axis
    expected = np.ones(len(axis), dtype=np.float32)
    varies = np.arange(len(axis)) != 3
    expected[varies] = permutation_test(rows[:, varies].astype(float), DESIGN, [-1, 1, 0], n_perm=N_PERM).p_fwe[0]
    # p-values are rounded down to float32, so that a threshold keeps those that equal it
    np.testing.assert_allclose(image.get_fdata(dtype=np.float32)[0], expected, rtol=2**-23)


def test_the_effect_of_a_slope_is_a_correlation(permute, volumes, tmp_path):
    permute(volumes.image, "--contrast", "age", "--out", tmp_path / "out")
    written = {path.name for path in (tmp_path / "out").glob("contrast-age_stat-*.nii.gz")}
    assert "contrast-age_stat-partialr_statmap.nii.gz" in written
    assert "contrast-age_stat-hedgesg_statmap.nii.gz" not in written
    found = contents(tmp_path / "out/results.h5")
    t, r = found["contrasts/age/stat"], found["contrasts/age/partial_r"]
    np.testing.assert_allclose(r, t / np.sqrt(t**2 + N - 3), rtol=1e-10)
    assert (found["contrasts/age/partial_r_low"] < r).all()
    assert (found["contrasts/age/partial_r_high"] > r).all()


def sheet(n_rows: int, n_columns: int, mm: float) -> tuple[np.ndarray, np.ndarray]:
    """Points of a bumpy sheet, and its triangles."""
    at = np.arange(n_rows * n_columns).reshape(n_rows, n_columns)
    corners = [at[:-1, :-1], at[1:, :-1], at[:-1, 1:], at[1:, 1:]]
    a, b, c, d = (corner.ravel() for corner in corners)
    points = np.column_stack([*np.divmod(at.ravel(), n_columns), np.sin(at.ravel())]).astype(np.float32) * np.float32(
        mm
    )
    return points, np.vstack([np.column_stack([a, b, c]), np.column_stack([b, d, c])]).astype(np.int32)


def test_surfaces_give_surfaces_whose_clusters_are_measured_in_square_millimetres(permute, tmp_path):
    rng, sizes = np.random.default_rng(8), {"L": (6, 5), "R": (5, 7)}
    meshes = {side: sheet(*size, mm=2.0) for side, size in sizes.items()}
    maps = {side: rng.normal(size=(N, np.prod(size))).astype(np.float32) for side, size in sizes.items()}
    maps["R"][GROUP == 1, 8:20] += 3
    for side, (points, triangles) in meshes.items():
        parts = [array(points, "NIFTI_INTENT_POINTSET"), array(triangles, "NIFTI_INTENT_TRIANGLE", "NIFTI_TYPE_INT32")]
        GiftiImage(darrays=parts).to_filename(tmp_path / f"{side}.surf.gii")
        for n, row in enumerate(maps[side], start=1):
            GiftiImage(darrays=[array(row)]).to_filename(tmp_path / f"sub-{n:02d}_hemi-{side}_thickness.shape.gii")
    surfaces = f"{tmp_path / 'L.surf.gii'},{tmp_path / 'R.surf.gii'}"
    options = ("--surface", surfaces, "--tfce", "--cluster-threshold", 1.5, "--out", tmp_path / "out")
    permute(*sorted(tmp_path.glob("*.shape.gii")), *options)
    found = contents(tmp_path / "out/results.h5")
    t, extent = found[f"contrasts/{CONTRAST}/stat"], found[f"contrasts/{CONTRAST}/cluster_extent"]
    areas, edges, offset = [], [], 0
    for points, triangles in meshes.values():
        corners = points[triangles].astype(float)
        area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) / 2
        areas.append(np.bincount(triangles.ravel(), np.repeat(area / 3, 3), minlength=len(points)))
        edges += [triangles[:, pair] + offset for pair in ([0, 1], [1, 2], [2, 0])]
        offset += len(points)
    area, pairs = np.concatenate(areas), np.vstack(edges)
    kept = pairs[(t[pairs] >= 1.5).all(axis=1)]
    labels = connected_components(coo_array((np.ones(len(kept)), kept.T), shape=(offset, offset)), directed=False)[1]
    expected = np.where(t >= 1.5, np.bincount(labels, area)[labels], 0.0)
    np.testing.assert_allclose(extent, expected, rtol=1e-12)  # sums in another order
    halves = [nib.load(tmp_path / f"out/hemi-{side}_contrast-{CONTRAST}_stat-t_statmap.func.gii") for side in "LR"]
    np.testing.assert_array_equal(np.concatenate([half.darrays[0].data for half in halves]), t.astype(np.float32))
    (peak,) = table(tmp_path / "out/peaks.tsv")
    assert (peak["hemisphere"], peak["unit"]) == ("R", "mm2")
    vertex = int(peak["peak_feature"]) - len(meshes["L"][0])
    assert [float(peak[axis]) for axis in "xyz"] == pytest.approx(meshes["R"][0][vertex], rel=1e-7)  # 8 digits
    p = found[f"contrasts/{CONTRAST}/p_fwe_tfce"]
    assert float(peak["size"]) == pytest.approx(area[p <= 0.05].sum(), rel=1e-7)  # 8 digits


def test_fsl_files_and_plain_tables_give_the_numbers_of_the_formula(permute, volumes, tmp_path):
    rows = "\n".join(" ".join(f"{x:.17g}" for x in row) for row in DESIGN)
    (tmp_path / "d.mat").write_text(f"/NumWaves 3\n/NumPoints {N}\n/PPheights 1 1 1\n/Matrix\n{rows}\n")
    (tmp_path / "d.con").write_text("/NumWaves 3\n/NumContrasts 1\n/PPheights 1\n/Matrix\n-1 1 0\n")
    (tmp_path / "d.fts").write_text("/NumWaves 1\n/NumContrasts 1\n/Matrix\n1\n")
    (tmp_path / "d.csv").write_text(rows.replace(" ", ",") + "\n")
    (tmp_path / "con.csv").write_text("-1,1,0\n")
    (tmp_path / "fts.csv").write_text("1\n")
    for name, files in {"fsl": ("d.mat", "d.con", "d.fts"), "csv": ("d.csv", "con.csv", "fts.csv")}.items():
        options = (f"--{option}" for option in ("design", "contrasts", "f-tests"))
        design = tuple(text for option, file in zip(options, files, strict=True) for text in (option, tmp_path / file))
        permute(volumes.image, "--tfce", "--out", tmp_path / name, design=design)
    fsl, plain = contents(tmp_path / "fsl/results.h5"), contents(tmp_path / "csv/results.h5")
    assert {name.split("/")[1] for name in fsl if name.startswith("contrasts")} == {"c1", "c2"}
    named = contents(volumes.out / "results.h5")
    for name, numbers in fsl.items():
        np.testing.assert_array_equal(plain[name], numbers, err_msg=name)
    for name, numbers in named.items():
        np.testing.assert_array_equal(fsl[name.replace(CONTRAST, "c1")], numbers, err_msg=name)
    np.testing.assert_allclose(
        fsl["contrasts/c2/stat"], fsl["contrasts/c1/stat"] ** 2, rtol=1e-10
    )  # F of one row is t²


def test_flipped_signs_are_saved_as_negative_numbers(permute, volumes, tmp_path):
    (tmp_path / "ones.csv").write_text("1\n" * N)
    (tmp_path / "con.csv").write_text("1\n")
    design = ("--design", tmp_path / "ones.csv", "--contrasts", tmp_path / "con.csv", "--sign-flip")
    permute(volumes.image, "--save-permutations", "--out", tmp_path / "out", design=design)
    rows = contents(tmp_path / "out/results.h5")["permutations/c1"]
    np.testing.assert_array_equal(np.abs(rows), np.tile(np.arange(1, N + 1), (N_PERM, 1)))
    assert (rows[0] > 0).all()
    assert (rows[1:] < 0).any()


def test_blocks_and_variance_groups_are_columns_of_the_table(permute, volumes, tmp_path):
    site = np.repeat(["x", "y"], N // 2)
    lines = [
        f"sub-{n:02d}\t{'ab'[group]}\t{where}" for n, (group, where) in enumerate(zip(GROUP, site, strict=True), 1)
    ]
    (tmp_path / "people.tsv").write_text("\n".join(["participant_id\tgroup\tsite", *lines]))
    model = ("--design", tmp_path / "people.tsv", "--formula", "group", "--contrast", "b - a")
    groups = ("--blocks", "site", "--variance-groups", "site", "--save-permutations")
    permute(volumes.image, *groups, "--out", tmp_path / "out", design=model)
    rows = contents(tmp_path / "out/results.h5")["permutations/bMinusA"]
    assert (np.sort(rows[:, : N // 2], axis=1) == np.arange(1, N // 2 + 1)).all()
    about = json.loads((tmp_path / f"out/contrast-{CONTRAST}_stat-v_statmap.json").read_text())
    assert about["Statistic"] == "v"
    assert about["DegreesOfFreedom"] == []  # each feature has its own
    (line,) = csv.DictReader((tmp_path / "out/summary.tsv").read_text().splitlines(), delimiter="\t")
    assert (line["df1"], line["df"]) == ("n/a", "n/a")
