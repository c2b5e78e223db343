"""fMRIPrep, XCP-D and HCP folders, each on a small tree of real files."""

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from nibabel import cifti2

from thalgpu.engine.inputs.layouts import find_runs
from thalgpu.engine.inputs.sidecars import run_of
from thalgpu.errors import InputError, ThalgpuWarning, UsageError

Make = Callable[..., Path]


@pytest.fixture
def scan(tmp_path: Path) -> Make:
    """Write a tiny NIfTI, dtseries or text file under tmp_path."""

    def make(name: str, n_volumes: int = 12) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".dtseries.nii"):
            axis = cifti2.BrainModelAxis.from_mask(np.ones((2, 2, 1)), name="thalamus_left", affine=np.eye(4))
            series = cifti2.SeriesAxis(0, 2, n_volumes)
            nib.save(nib.Cifti2Image(np.zeros((n_volumes, 4), "f4"), (series, axis)), path)
        elif name.endswith((".nii.gz", ".nii")):
            nib.save(nib.Nifti1Image(np.zeros((2, 2, 2, n_volumes), "f4"), np.eye(4)), path)
        else:
            path.touch()
        return path

    return make


FMRIPREP = "sub-01/func/sub-01_task-rest"
MNI = "space-MNI152NLin2009cAsym"


def test_fmriprep_scan_comes_with_confounds_and_segmentation(scan: Make, tmp_path: Path) -> None:
    bold = scan(f"{FMRIPREP}_{MNI}_desc-preproc_bold.nii.gz")
    confounds = scan(f"{FMRIPREP}_desc-confounds_timeseries.tsv")
    scan(f"{FMRIPREP}_{MNI}_desc-aseg_dseg.nii.gz")
    found = find_runs(tmp_path, "01")
    assert (found.layout, [run.bold for run in found.runs]) == ("fmriprep", [bold])
    assert found.runs[0].confounds == confounds
    assert found.aseg is not None
    assert found.aseg.name.endswith("_desc-aseg_dseg.nii.gz")


def test_confounds_under_their_older_name_are_found(scan: Make) -> None:
    bold = scan(f"{FMRIPREP}_{MNI}_desc-preproc_bold.nii.gz")
    confounds = scan(f"{FMRIPREP}_desc-confounds_regressors.tsv")
    assert run_of(bold).confounds == confounds


def test_sessions_and_runs_come_in_natural_order(scan: Make, tmp_path: Path) -> None:
    for session, run in [("2", "1"), ("1", "10"), ("1", "2")]:
        scan(f"sub-01/ses-{session}/func/sub-01_ses-{session}_task-rest_run-{run}_{MNI}_desc-preproc_bold.nii.gz")
    runs = find_runs(tmp_path, "01").runs
    assert [(run.session, run.run) for run in runs] == [("1", "2"), ("1", "10"), ("2", "1")]


def test_native_space_is_never_taken_by_itself(scan: Make, tmp_path: Path) -> None:
    scan(f"{FMRIPREP}_space-T1w_desc-preproc_bold.nii.gz")
    scan(f"{FMRIPREP}_desc-preproc_bold.nii.gz")
    with pytest.raises(InputError, match="no scan in a fitting space, only T1w, native"):
        find_runs(tmp_path, "01")
    assert len(find_runs(tmp_path, "01", "fmriprep:T1w").runs) == 1


def test_several_standard_spaces_are_an_error_that_names_them(scan: Make, tmp_path: Path) -> None:
    scan(f"{FMRIPREP}_{MNI}_desc-preproc_bold.nii.gz")
    wanted = scan(f"{FMRIPREP}_space-MNI152NLin6Asym_res-2_desc-preproc_bold.nii.gz")
    with pytest.raises(
        InputError, match=r"several spaces: MNI152NLin2009cAsym, MNI152NLin6Asym_res-2 .* --input-type fmri"
    ):
        find_runs(tmp_path, "01")
    for choice in ("MNI152NLin6Asym", "MNI152NLin6Asym_res-2"):
        assert [run.bold for run in find_runs(tmp_path, "01", f"fmriprep:{choice}").runs] == [wanted]


def test_a_dtseries_is_preferred_to_a_volume(scan: Make, tmp_path: Path) -> None:
    scan(f"{FMRIPREP}_{MNI}_desc-preproc_bold.nii.gz")
    dtseries = scan(f"{FMRIPREP}_space-fsLR_den-91k_bold.dtseries.nii")
    assert [run.bold for run in find_runs(tmp_path, "01").runs] == [dtseries]
    (run,) = find_runs(tmp_path, "01", "fmriprep:MNI152NLin2009cAsym").runs
    assert run.bold.name.endswith("_desc-preproc_bold.nii.gz")


@pytest.mark.parametrize("order", ["hemi-{hemi}_space-{space}", "space-{space}_hemi-{hemi}"])
def test_surfaces_of_the_same_run_are_paired_with_the_volume(scan: Make, tmp_path: Path, order: str) -> None:
    for run in "12":
        scan(f"{FMRIPREP}_run-{run}_{MNI}_desc-preproc_bold.nii.gz")
        for hemi in "LR":
            scan(f"{FMRIPREP}_run-{run}_{order.format(hemi=hemi, space='fsaverage5')}_bold.func.gii")
            scan(f"{FMRIPREP}_run-{run}_{order.format(hemi=hemi, space='fsnative')}_bold.func.gii")
    for run, number in zip(find_runs(tmp_path, "01").runs, "12", strict=True):
        assert run.surfaces is not None
        for file, hemi in zip(run.surfaces, "LR", strict=True):
            assert (
                file.name
                == f"sub-01_task-rest_run-{number}_{order.format(hemi=hemi, space='fsaverage5')}_bold.func.gii"
            )


def test_several_surface_spaces_need_a_choice(scan: Make, tmp_path: Path) -> None:
    scan(f"{FMRIPREP}_{MNI}_desc-preproc_bold.nii.gz")
    for space in ("fsaverage5", "fsLR"):
        for hemi in "LR":
            scan(f"{FMRIPREP}_hemi-{hemi}_space-{space}_bold.func.gii")
    with pytest.raises(InputError, match="several spaces: fsLR, fsaverage5"):
        find_runs(tmp_path, "01")
    (run,) = find_runs(tmp_path, "01", "fmriprep:MNI152NLin2009cAsym+fsaverage5").runs
    assert run.surfaces is not None
    assert "fsaverage5" in run.surfaces[1].name
    assert find_runs(tmp_path, "01", "fmriprep:MNI152NLin2009cAsym").runs[0].surfaces is None


def test_rest_is_taken_from_several_tasks(scan: Make, tmp_path: Path) -> None:
    rest = [scan(f"sub-01/func/sub-01_task-{task}_{MNI}_desc-preproc_bold.nii.gz") for task in ("rest1", "rest2")]
    scan(f"sub-01/func/sub-01_task-motor_{MNI}_desc-preproc_bold.nii.gz")
    assert [run.bold for run in find_runs(tmp_path, "01").runs] == rest


def test_a_single_task_of_any_name_is_taken(scan: Make, tmp_path: Path) -> None:
    scan(f"sub-01/func/sub-01_task-eyesclosed_{MNI}_desc-preproc_bold.nii.gz")
    assert len(find_runs(tmp_path, "01").runs) == 1


def test_several_tasks_without_rest_are_an_error(scan: Make, tmp_path: Path) -> None:
    for task in ("motor", "pain"):
        scan(f"sub-01/func/sub-01_task-{task}_{MNI}_desc-preproc_bold.nii.gz")
    with pytest.raises(InputError, match="several tasks, none of them rest: motor, pain"):
        find_runs(tmp_path, "01")


def test_single_echoes_are_left_out(scan: Make, tmp_path: Path) -> None:
    combined = scan(f"{FMRIPREP}_{MNI}_desc-preproc_bold.nii.gz")
    scan(f"{FMRIPREP}_echo-1_{MNI}_desc-preproc_bold.nii.gz")
    assert [run.bold for run in find_runs(tmp_path, "01").runs] == [combined]


def xcpd(scan: Make, n_volumes: int, outliers: list[int] | None, name: str = "desc-denoised_bold.nii.gz") -> Path:
    bold = scan(f"{FMRIPREP}_space-MNI152NLin6Asym_{name}", n_volumes)
    if outliers is not None:
        scan(f"{FMRIPREP}_outliers.tsv").write_text("\n".join(["framewise_displacement", *map(str, outliers)]) + "\n")
    return bold


@pytest.mark.parametrize("name", ["desc-denoised_bold.nii.gz", "den-91k_desc-denoised_bold.dtseries.nii"])
def test_xcpd_output_shorter_than_its_outlier_table_is_censored(scan: Make, tmp_path: Path, name: str) -> None:
    bold = xcpd(scan, 12, [0] * 12 + [1] * 3, name)
    found = find_runs(tmp_path, "01")
    assert (found.layout, found.runs[0].bold, found.runs[0].censored) == ("xcpd", bold, True)


def test_xcpd_output_without_outliers_is_not_censored(scan: Make, tmp_path: Path) -> None:
    xcpd(scan, 12, [0] * 12)
    assert not find_runs(tmp_path, "01").runs[0].censored


def test_xcpd_interpolated_output_is_kept_with_a_warning(scan: Make, tmp_path: Path) -> None:
    xcpd(scan, 12, [0] * 10 + [1] * 2)
    with pytest.warns(ThalgpuWarning, match="holds 2 interpolated volumes of 12"):
        assert not find_runs(tmp_path, "01").runs[0].censored


def test_xcpd_output_without_an_outlier_table_counts_as_censored(scan: Make, tmp_path: Path) -> None:
    xcpd(scan, 12, None)
    assert find_runs(tmp_path, "01").runs[0].censored


def test_a_damaged_xcpd_scan_is_left_to_its_reader(scan: Make, tmp_path: Path) -> None:
    xcpd(scan, 12, [0, 1]).write_bytes(b"no NIfTI")
    assert find_runs(tmp_path, "01").runs[0].censored


def test_xcpd_takes_no_confounds_for_they_are_removed_already(scan: Make, tmp_path: Path) -> None:
    xcpd(scan, 12, [0] * 12)
    scan(f"{FMRIPREP}_desc-confounds_timeseries.tsv")
    assert find_runs(tmp_path, "01").runs[0].confounds is None


def test_xcpd_comes_before_fmriprep_unless_forced(scan: Make, tmp_path: Path) -> None:
    xcpd(scan, 12, [0] * 12)
    scan(f"{FMRIPREP}_{MNI}_desc-preproc_bold.nii.gz")
    assert find_runs(tmp_path, "01").layout == "xcpd"
    assert find_runs(tmp_path, "01", "fmriprep").layout == "fmriprep"


def test_xcpd_concatenation_of_runs_is_not_counted_twice(scan: Make, tmp_path: Path) -> None:
    for run in ("_run-1", "_run-2", ""):
        scan(f"{FMRIPREP}{run}_space-MNI152NLin6Asym_desc-denoised_bold.nii.gz")
    assert [run.run for run in find_runs(tmp_path, "01").runs] == ["1", "2"]


HCP = "100307/MNINonLinear/Results"


def test_hcp_prefers_msmall_and_leaves_the_concatenation_out(scan: Make, tmp_path: Path) -> None:
    for name in ("rfMRI_REST1_LR", "rfMRI_REST1_RL", "rfMRI_REST"):
        scan(f"{HCP}/{name}/{name}_Atlas_MSMAll_hp2000_clean.dtseries.nii")
        scan(f"{HCP}/{name}/{name}_Atlas_hp2000_clean.dtseries.nii")
        scan(f"{HCP}/{name}/{name}_hp2000_clean.nii.gz")
    found = find_runs(tmp_path, "100307")
    assert found.layout == "hcp"
    assert [run.bold.name for run in found.runs] == [
        f"rfMRI_REST1_{way}_Atlas_MSMAll_hp2000_clean.dtseries.nii" for way in ("LR", "RL")
    ]


def test_hcp_volumes_come_with_the_segmentation_on_their_grid(scan: Make, tmp_path: Path) -> None:
    scan(f"{HCP}/rfMRI_REST1_LR/rfMRI_REST1_LR_hp2000_clean.nii.gz")
    scan(f"{HCP}/rfMRI_REST1_LR/rfMRI_REST1_LR_hp2000_clean_vn.nii.gz")
    segmentation = scan("100307/MNINonLinear/ROIs/wmparc.2.nii.gz")
    found = find_runs(tmp_path, "100307")
    assert [run.bold.name for run in found.runs] == ["rfMRI_REST1_LR_hp2000_clean.nii.gz"]
    assert found.aseg == segmentation


def test_hcp_volumes_can_be_chosen(scan: Make, tmp_path: Path) -> None:
    scan(f"{HCP}/rfMRI_REST1_LR/rfMRI_REST1_LR_Atlas_MSMAll_hp2000_clean.dtseries.nii")
    volume = scan(f"{HCP}/rfMRI_REST1_LR/rfMRI_REST1_LR_hp2000_clean.nii.gz")
    assert [run.bold for run in find_runs(tmp_path, "100307", "hcp:volume").runs] == [volume]


def test_an_absent_label_names_the_layouts_tried_an_example_and_similar_labels(scan: Make, tmp_path: Path) -> None:
    scan(f"{FMRIPREP}_{MNI}_desc-preproc_bold.nii.gz")
    example = r"\(e\.g\. sub-001/func/\*_desc-preproc_bold\.nii\.gz\)"
    message = rf"^no scan of sub-001 in the layouts xcpd, fmriprep, hcp {example} .* — did you mean sub-01\?"
    with pytest.raises(InputError, match=message):
        find_runs(tmp_path, "001")
    with pytest.raises(InputError, match=r"in the layouts hcp \(e\.g\. 001/MNINonLinear/"):
        find_runs(tmp_path, "001", "hcp")


def test_scans_one_folder_below_are_pointed_to(scan: Make, tmp_path: Path) -> None:
    scan(f"fmriprep/{FMRIPREP}_{MNI}_desc-preproc_bold.nii.gz")
    with pytest.raises(InputError, match=r"did you mean --derivatives .*/fmriprep"):
        find_runs(tmp_path, "01")


def test_a_link_without_content_is_named(scan: Make, tmp_path: Path) -> None:
    bold = scan(f"{FMRIPREP}_{MNI}_desc-preproc_bold.nii.gz")
    bold.unlink()
    bold.symlink_to(".git/annex/objects/absent")
    with pytest.raises(InputError, match="fetch its content"):
        find_runs(tmp_path, "01")


def test_an_unknown_input_type_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="choose one of xcpd, fmriprep, hcp"):
        find_runs(tmp_path, "01", "spm")
