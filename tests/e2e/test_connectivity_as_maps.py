"""What `thalgpu connectivity` writes is what a permutation test reads: volumes, CIFTI, surfaces and tables."""

import shutil

import nibabel as nib
import numpy as np
import pytest

from thalgpu.engine.inputs.subject_maps import settle_all
from thalgpu.engine.pipelines.subject_maps import read_subject_maps

LABELS = ("01", "02", "03")


@pytest.fixture(scope="module")
def gapped(tmp_path_factory, cohort, thalgpu):
    """A run over three people; the second one's scan does not reach the first ten voxels of the cortex."""
    folder = tmp_path_factory.mktemp("gapped")
    copy = shutil.copytree(cohort, folder / "cohort")
    scan = next((copy / "sub-02/func").glob("*_bold.nii.gz"))
    image, parcels = nib.load(scan), nib.load(copy / "cortex_parcels.nii.gz").get_fdata()
    values = np.asanyarray(image.dataobj).copy()
    values[parcels == 5] = 0
    nib.save(nib.Nifti1Image(values, image.affine, image.header), scan)
    lines = [line for line in (copy / "list.txt").read_text().split() if not line.startswith("#")]
    (copy / "three.txt").write_text("\n".join(lines[:3]))
    done = thalgpu(
        *("connectivity", "--subjects", copy / "three.txt", "--thalamus", copy / "thalamus.nii.gz"),
        *("--cortex", copy / "cortex.nii.gz", "--atlas", copy / "cortex_parcels.nii.gz"),
        *("--out", folder / "out", "--workers", 1, "--no-matrix"),
    )
    assert done.exit_code == 0, done.err
    return folder / "out", parcels, done.out


def maps_of(out, seed):
    return sorted(out.glob(f"sub-*/func/*seed-{seed}_*"))


def test_pattern_of_a_seed_finds_one_map_a_subject_and_nothing_else(gapped):
    found = maps_of(gapped[0], "thalamus")
    assert [path.name for path in found] == [f"sub-{x}_seed-thalamus_stat-fisherz_boldmap.nii.gz" for x in LABELS]


def test_voxels_without_a_signal_in_somebody_are_not_tested(gapped, cohort):
    out, parcels, _ = gapped
    (maps,) = settle_all(read_subject_maps(maps_of(out, "thalamus")))
    cortex = nib.load(cohort / "cortex.nii.gz").get_fdata() > 0
    assert maps.ids == LABELS
    np.testing.assert_array_equal(maps.space.flat, np.flatnonzero(cortex & (parcels != 5)))
    assert (maps.values != 0).all()


def test_map_is_zero_exactly_where_the_scan_has_no_signal(gapped, cohort):
    out, parcels, _ = gapped
    cortex = nib.load(cohort / "cortex.nii.gz").get_fdata() > 0
    image = nib.load(maps_of(out, "thalamusL")[1]).get_fdata()
    np.testing.assert_array_equal(image != 0, cortex & (parcels != 5))


def test_parcel_without_a_signal_is_left_out_of_the_table_and_named(gapped):
    out, _, printed = gapped
    header = (out / "connectivity.tsv").read_text().splitlines()[0].split("\t")
    assert len(header) == 1 + 3 * 99
    assert not any(name.endswith("__L_05") for name in header)
    assert "L_05 lacks a signal in sub-02 and is left out of the tables" in printed
    (stack,) = settle_all(read_subject_maps([out / "connectivity.tsv"]))
    assert stack.ids == LABELS
    assert stack.values.shape == (3, 297)


@pytest.mark.parametrize("kind", ["cifti", "surface"])
def test_grayordinates_and_vertices_are_read_back_at_their_places(tmp_path, thalgpu, kind):
    folder = tmp_path / "cohort"
    simulated = thalgpu("simulate", folder, "--subjects", 2, "--groups", "a", "--timepoints", 40, "--kind", kind)
    assert simulated.exit_code == 0, simulated.err
    if kind == "cifti":
        arguments = ["--subjects", folder / "list.txt", "--seed", f"S1={folder / 'cortex_parcels.dlabel.nii'}:1,51"]
    else:
        pair, parcels = (
            ",".join(str(folder / f"{x}_hemi-{s}.label.gii") for s in "LR") for x in ("cortex", "cortex_parcels")
        )
        arguments = ["--subjects", folder / "list.tsv", "--thalamus", folder / "thalamus.nii.gz", "--cortex", pair]
        arguments += ["--seed", f"S1={parcels}:1"]  # on the left surface only
    done = thalgpu("connectivity", *arguments, "--out", tmp_path / "out", "--workers", 1)
    assert done.exit_code == 0, done.err
    (maps,) = settle_all(read_subject_maps(maps_of(tmp_path / "out", "S1")))
    assert maps.ids == ("01", "02")
    assert maps.values.shape == (2, 1188)
    # a seed of vertices is correlated most with its own: with all of them, as this is a mean of few
    assert maps.values[0].max() > 1.0


def test_permutation_test_runs_on_maps_and_on_tables(gapped, tmp_path, thalgpu, cohort):
    out = gapped[0]
    design = ["--design", cohort / "participants.tsv", "--formula", "age", "--contrast", "age", "--n-perm", 0]
    for name, maps in (("maps", maps_of(out, "thalamus")), ("table", [out / "connectivity.tsv"])):
        done = thalgpu("permute", *maps, *design, "--missing", "drop", "--workers", 1, "--out", tmp_path / name)
        assert done.exit_code == 0, done.err
    assert (tmp_path / "table" / "results.tsv").is_file()
    assert list((tmp_path / "maps").glob("contrast-age_stat-pfwe_statmap.nii.gz"))
