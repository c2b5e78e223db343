"""Who is in a BIDS folder, and that the list of their scans says all that was found."""

from pathlib import Path

import pytest

from thalgpu.cli.bids import one_by_one
from thalgpu.engine.inputs.bids_folder import find_scans, participants_of, require_participants, subject_table
from thalgpu.engine.inputs.subject_list import read_subject_list
from thalgpu.errors import InputError, ThalgpuWarning

MNI = "space-MNI152NLin2009cAsym"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """fMRIPrep's output of two people: sessions, runs, surfaces, segmentation, confounds; names are enough."""
    for stem in ("sub-10/ses-1/func/sub-10_ses-1_task-rest_run-1", "sub-10/ses-2/func/sub-10_ses-2_task-rest_run-2"):
        for ending in (
            f"_{MNI}_desc-preproc_bold.nii.gz",
            f"_{MNI}_desc-aseg_dseg.nii.gz",
            "_desc-confounds_timeseries.tsv",
            "_hemi-L_space-fsaverage5_bold.func.gii",
            "_hemi-R_space-fsaverage5_bold.func.gii",
        ):
            touch(tmp_path / f"{stem}{ending}")
    touch(tmp_path / f"sub-2/func/sub-2_task-rest_{MNI}_desc-preproc_bold.nii.gz")
    touch(tmp_path / f"sub-2/func/sub-2_task-nback_{MNI}_desc-preproc_bold.nii.gz")
    touch(tmp_path / "sub-03.html")
    return tmp_path


def touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def test_participants_come_in_natural_order_and_files_are_none(folder):
    assert participants_of(folder) == ("2", "10")


def test_hcp_folders_have_no_prefix(tmp_path):
    for label in ("100307", "100206"):
        (tmp_path / label / "MNINonLinear").mkdir(parents=True)
    (tmp_path / "notes").mkdir()
    assert participants_of(tmp_path) == ("100206", "100307")


def test_folder_without_participants_is_refused(tmp_path):
    with pytest.raises(InputError, match="holds no participant"):
        participants_of(tmp_path)


def test_labels_lose_their_prefix_and_come_once(folder):
    assert require_participants(folder, ["sub-10", "2", "10"]) == ("10", "2")


def test_unknown_labels_are_counted_and_many_that_exist_too(tmp_path):
    for number in range(20):
        (tmp_path / f"sub-{number:02}").mkdir()
    with pytest.raises(InputError, match=r"no sub-aa, nor 1 more.*takes 00, 01, .*, 11 and 8 more"):
        require_participants(tmp_path, ["aa", "03", "bb"])


def test_list_says_all_that_was_found(folder, tmp_path):
    listed = tmp_path / "subjects.tsv"
    with pytest.warns(ThalgpuWarning, match=r"several sessions.*subjects\.tsv"):
        found = find_scans(folder, ["2", "10"], listed)
    listed.write_text(subject_table(found.subjects))
    with pytest.warns(ThalgpuWarning, match="several sessions"):
        assert read_subject_list(listed) == found.subjects
    assert found.subjects[1].runs[1].surfaces is not None
    assert found.subjects[1].aseg is not None


def test_session_is_chosen(folder, tmp_path):
    found = find_scans(folder, ["2", "10"], tmp_path / "subjects.tsv", only={"ses": ["2"]})
    assert [(one.participant_id, [run.session for run in one.runs]) for one in found.subjects] == [("10", ["2"])]
    assert "no scan of sub-2, ses-2" in str(found.left_out["2"])


def test_task_is_chosen_where_rest_would_be_taken(folder, tmp_path):
    found = find_scans(folder, ["2"], tmp_path / "subjects.tsv", only={"task": ["nback"]})
    assert "task-nback" in found.subjects[0].runs[0].bold.name


def test_name_that_no_list_can_hold_is_refused(tmp_path):
    touch(tmp_path / f"a\tb/sub-2/func/sub-2_task-rest_{MNI}_desc-preproc_bold.nii.gz")
    found = find_scans(tmp_path / "a\tb", ["2"], tmp_path / "subjects.tsv")
    with pytest.raises(InputError, match="a tab or a line break"):
        subject_table(found.subjects)


@pytest.mark.parametrize(
    ("typed", "read"),
    [
        (
            "in out group --participant-label 1 2 --dry-run",
            "in out group --participant-label 1 --participant-label 2 --dry-run",
        ),
        ("--session-label=1 in", "--session-label=1 in"),
        ("--task-id rest in", "--task-id rest in"),
        ("in --output-spaces", "in --output-spaces"),
    ],
)
def test_several_values_are_read_as_the_option_several_times(typed, read):
    assert one_by_one(typed.split()) == read.split()
