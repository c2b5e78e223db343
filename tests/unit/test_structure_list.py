"""The list of `thalgpu structure`: labels with folders, or a table of files."""

from collections.abc import Callable
from pathlib import Path

import pytest

from thalgpu.engine.inputs.structure_list import StructureSubject, read_structure_list
from thalgpu.errors import InputError, ThalgpuWarning

Write = Callable[..., Path]


@pytest.fixture
def touch(tmp_path: Path) -> Write:
    def make(*names: str) -> Path:
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
        return tmp_path

    return make


@pytest.fixture
def listing(tmp_path: Path) -> Write:
    def write(text: str) -> Path:
        path = tmp_path / "list.tsv"
        path.write_text(text)
        return path

    return write


def test_labels_are_looked_up_in_both_folders(touch: Write, listing: Write) -> None:
    root = touch("fs/sub-01/stats/aseg.stats", "fs/0012/stats/aseg.stats", "vtk/sub-01-L_Thal_first.vtk")
    subjects = read_structure_list(
        listing("# cohort\nsub-01\n0012  # again\n"), freesurfer=root / "fs", meshes=root / "vtk"
    )
    mesh = root / "vtk/sub-01-L_Thal_first.vtk"
    assert subjects == (
        StructureSubject("01", 2, freesurfer_dir=root / "fs/sub-01", mesh_left=mesh),
        StructureSubject("0012", 3, freesurfer_dir=root / "fs/0012"),
    )
    assert (subjects[0].meshes, subjects[1].meshes) == ({"left": mesh}, {})


def test_a_table_names_its_files_and_folders_fill_the_rest(touch: Write, listing: Write) -> None:
    root = touch("fs/sub-01/x", "fs/sub-02/x", "a.vtk", "t.gii", "own/x", "seg.nii.gz")
    text = "participant_id\tbold\taseg\tmesh_left\tthickness_right\n"
    text += "01\tnone.nii\tseg.nii.gz\ta.vtk\tn/a\n02\tn/a\t\t\tt.gii\n"
    one, two = read_structure_list(listing(text), freesurfer=root / "fs")
    assert one == StructureSubject("01", 2, root / "fs/sub-01", root / "seg.nii.gz", root / "a.vtk")
    assert two == StructureSubject("02", 3, root / "fs/sub-02", thickness_right=root / "t.gii")


def test_further_rows_of_a_person_may_repeat_the_files(touch: Write, listing: Write) -> None:
    touch("a.nii")
    text = "participant_id\trun\taseg\n01\t1\ta.nii\n01\t2\ta.nii\n"
    assert len(read_structure_list(listing(text))) == 1
    with pytest.raises(InputError, match="aseg of sub-01 differs from line 2"):
        read_structure_list(listing(text.replace("2\ta.nii", "2\tb.nii")))


def test_with_tables_the_list_only_says_who(listing: Write) -> None:
    assert [one.participant_id for one in read_structure_list(listing("01\n02\n"), tables=True)] == ["01", "02"]


def test_one_cifti_file_may_serve_both_hemispheres_and_a_mesh_may_not(touch: Write, listing: Write) -> None:
    touch("t.dscalar.nii", "m.vtk")
    text = "participant_id\tthickness_left\tthickness_right\n01\tt.dscalar.nii\tt.dscalar.nii\n"
    assert len(read_structure_list(listing(text))[0].thickness) == 2
    with pytest.raises(InputError, match=r"m\.vtk of sub-01 is given for both hemispheres"):
        read_structure_list(listing("participant_id\tmesh_left\tmesh_right\n01\tm.vtk\tm.vtk\n"))


def test_columns_that_are_not_read_are_named(touch: Write, listing: Write) -> None:
    touch("a.nii")
    with pytest.warns(ThalgpuWarning, match="columns not read: mesh_lft"):
        read_structure_list(listing("participant_id\taseg\tmesh_lft\n01\ta.nii\tx.vtk\n"))


@pytest.mark.parametrize(
    ("text", "reason", "line"),
    [
        ("01\nsub-01\n", "sub-01 is on line 1 already", 2),
        ("01\n../etc\n", "participant id '../etc' is not letters and digits", 2),
        ("03\n", "nothing is given of sub-03 in", 1),
        ("participant_id\taseg\n01\tno.nii\n", "aseg: no file", 2),
        ("participant_id\tfreesurfer_dir\n01\ta.nii\n", "is not a folder", 2),
        ("participant_id\taseg\taseg\n01\ta.nii\ta.nii\n", "column 'aseg' appears twice", 1),
        ("participant_id\taseg\n01\n", "1 cells under 2 columns", 2),
        ("participant_id\taseg\n", "the table has a header but no row", 1),
        ("participant_id\taseg\n01\ta.nii\n02\ta.nii\n", "a.nii of sub-02 is given to sub-01 already", 3),
        ("# nobody\n", "the list names no subject", None),
    ],
)
def test_every_problem_has_its_line(touch: Write, listing: Write, text: str, reason: str, line: int | None) -> None:
    root = touch("fs/sub-01/x", "fs/sub-02/x", "a.nii")
    with pytest.raises(InputError, match=reason) as caught:
        read_structure_list(listing(text), freesurfer=root / "fs")
    assert line is None or caught.value.where.endswith(f":{line}")


def test_problems_are_gathered(listing: Write) -> None:
    with pytest.raises(InputError, match=r"and 2 more: line 2: .*; line 3: "):
        read_structure_list(listing("01\n02\n03\n"))


def test_a_folder_that_is_none_is_named(listing: Write) -> None:
    with pytest.raises(InputError, match="no folder"):
        read_structure_list(listing("01\n"), freesurfer="/nowhere/at/all")


def test_a_person_with_two_meshes_of_a_side_is_a_problem_of_the_line(touch: Write, listing: Write) -> None:
    root = touch(
        "vtk/sub-01_ses-1-L_Thal_first.vtk", "vtk/sub-01_ses-2-L_Thal_first.vtk", "vtk/sub-02-L_Thal_first.vtk"
    )
    with pytest.raises(InputError, match="2 meshes of the left thalamus of sub-01") as caught:
        read_structure_list(listing("02\n01\n"), meshes=root / "vtk")
    assert caught.value.where.endswith("list.tsv:2")


def test_an_odd_id_in_a_table_is_named(touch: Write, listing: Write) -> None:
    touch("a.nii")
    with pytest.raises(InputError, match="participant id 'HC_01' is not letters and digits"):
        read_structure_list(listing("participant_id\taseg\nHC_01\ta.nii\n"))
