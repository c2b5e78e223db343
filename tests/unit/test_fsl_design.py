"""Designs in FSL's and PALM's files, and as plain tables of numbers."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from thalgpu.engine.inputs.fsl_design import design_from_files, read_blocks
from thalgpu.engine.inputs.number_tables import read_numbers
from thalgpu.errors import InputError, NumericsError

Write = Callable[[str, str], Path]

MAT = "/NumWaves\t2\n/NumPoints\t6\n/PPheights\t1 1\n\n/Matrix\n" + "1 0\n" * 3 + "0.000000e+00 1.0\n" * 3
CON = '/ContrastName1\t"pain > HC"\n/NumWaves 2\n/NumContrasts 2\n/PPheights 1 1\n/Matrix\n1 -1\n-1 1\n'
FTS = "/NumWaves 2\n/NumContrasts 1\n/Matrix\n1 0\n"
GRP = "/NumWaves 1\n/NumPoints 6\n/Matrix\n1\n1\n2\n2\n3\n3\n"
TWO_GROUPS = np.repeat(np.eye(2), 3, axis=0)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def of(name: str, text: str) -> Path:
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return of


def test_fsl_files_make_a_design(write: Write) -> None:
    design = design_from_files(
        write("d.mat", MAT), write("d.con", CON), write("d.fts", FTS), blocks=write("d.grp", GRP), whole=True
    )
    np.testing.assert_array_equal(design.matrix, TWO_GROUPS)
    assert design.columns == ("EV1", "EV2")
    assert design.ids is None
    assert design.blocks is not None
    assert design.blocks.tolist() == [[1, -1], [1, -1], [1, -2], [1, -2], [1, -3], [1, -3]]


def test_contrasts_are_numbered_through_and_keep_their_titles(write: Write) -> None:
    design = design_from_files(write("d.mat", MAT), write("d.con", CON), write("d.fts", FTS))
    assert [(c.name, c.label, c.kind) for c in design.contrasts] == [
        ("pain > HC", "c1", "t"),
        ("c2", "c2", "t"),
        ("c3", "c3", "f"),
    ]
    np.testing.assert_array_equal(design.contrasts[2].weights, [[1, -1]])


@pytest.mark.parametrize(
    "text",
    ["1,0\n1,0\n1,0\n0,1\n0,1\n0,1\n", "1 0\r\n1 0\r\n1 0\r\n0 1\r\n0 1\r\n0 1", "a;b\n1;0\n1;0\n1;0\n0;1\n0;1\n0;1\n"],
)
def test_plain_tables_make_the_same_design(write: Write, text: str) -> None:
    design = design_from_files(write("d.csv", text), write("t.csv", "1,-1\n"))
    np.testing.assert_array_equal(design.matrix, TWO_GROUPS)


def test_a_header_names_columns_and_participants(write: Write) -> None:
    rows = "".join(f"sub-{k:02d},{k % 2},1\n" for k in range(6))
    design = design_from_files(write("d.csv", "participant_id,odd,mean\n" + rows), write("t.csv", "odd,mean\n1,0\n"))
    assert design.columns == ("odd", "mean")
    assert design.ids == ("00", "01", "02", "03", "04", "05")


def test_variance_groups_are_one_column(write: Write) -> None:
    design = design_from_files(write("d.mat", MAT), write("d.con", CON), variance_groups=write("v.csv", "1\n" * 6))
    assert design.variance_groups is not None
    assert design.variance_groups.tolist() == [1] * 6


def test_several_columns_of_blocks_are_kept_as_a_tree(write: Write) -> None:
    path = write("b.csv", "-1,1\n-1,1\n-1,2\n-1,2\n-1,-3\n-1,-3\n")
    assert read_blocks(path).tolist() == [[-1, 1], [-1, 1], [-1, 2], [-1, 2], [-1, -3], [-1, -3]]
    design = design_from_files(write("d.mat", MAT), write("d.con", CON), blocks=path)
    np.testing.assert_array_equal(design.blocks, read_blocks(path))


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("", None, "the file is empty"),
        ("/NumWaves 2\n/NumPoints 6\n", 2, "no /Matrix"),
        (MAT[: -len("0.000000e+00 1.0\n")], 2, "/NumPoints says '6', but the matrix has 5"),
        (MAT[: -len("1.0\n")], 11, "1 numbers where 2 are expected"),
        (MAT.replace("/NumWaves\t2", "/NumWaves\t3"), 1, "/NumWaves says '3', but the matrix has 2"),
        (MAT.replace("/NumWaves\t2", "/NumWaves\t1e99999"), 1, "/NumWaves says"),
        (MAT.replace("1 0\n", "1 x\n", 1), 6, "'x' is not a finite number"),
        (MAT.replace("1 0\n", "1 nan\n", 1), 6, "'nan' is not a finite number"),
        (MAT.replace("/PPheights", "PPheights"), 3, "before /Matrix"),
        ("/NumWaves 2\n/Matrix\n", 2, "the matrix has no row"),
        ("1,0\n1,\n", 2, "'' is not a finite number"),
        ("1,0\n1,0,0\n", 2, "3 numbers where 2 are expected"),
        ("1,O\n1,0\n", 1, "'O' is not a finite number"),
        ("a,b\n", 1, "the matrix has no row"),
        ("participant_id\nsub-01\n", 1, "no column of numbers"),
        ("participant_id,a\n01,1\nsub-01,2\n", 2, "participant id '01'"),
        ("participant_id,a\n../x,1\n", 2, "participant id '../x'"),
    ],
)
def test_damaged_files_are_refused_with_their_line(write: Write, text: str, line: int | None, said: str) -> None:
    path = write("d.mat", text)
    with pytest.raises(InputError, match=said) as caught:
        read_numbers(path)
    assert caught.value.where == str(path) + (f":{line}" if line else "")
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("contrasts", "1,-1,0\n", "contrasts of 3 weights for 2 columns"),
        ("contrasts", "b,a\n1,-1\n", "its columns are b, a, the design's a, b"),
        ("f_tests", "1,1\n", "F tests of 2 entries for 1 t contrasts"),
        ("f_tests", "2\n", "entries other than 0 and 1"),
        ("f_tests", "0\n", "an F test of no contrast"),
        ("blocks", "1\n1\n", "2 rows for 6 subjects"),
        ("blocks", "1\n1\n2\n2\n3\n3.5\n", "3.5 is not a whole number"),
        ("blocks", "1\n1\n2\n2\n3\n1e300\n", "is not a whole number"),
        ("blocks", "1\n1\n2\n2\n-3\n-3\n", "block -3 in column 1"),
        ("blocks", "1 1\n1 2\n1 0\n1 1\n1 2\n1 3\n", "block 0 in column 2"),
        ("variance_groups", "1,1\n" * 6, "2 columns of variance groups"),
        ("variance_groups", "1\n", "1 rows for 6 subjects"),
        ("variance_groups", "1\n1\n2\n1\n1\n1\n", "a group of one, 2, which has no variance"),
    ],
)
def test_files_that_do_not_fit_the_design_are_refused(write: Write, name: str, text: str, said: str) -> None:
    files = {"contrasts": write("t.csv", "1,-1\n"), name: write("bad.csv", text)}
    with pytest.raises(InputError, match=said) as caught:
        design_from_files(write("d.csv", "a,b\n1,0\n1,0\n1,0\n0,1\n0,1\n0,1\n"), **files)
    assert caught.value.remedy


def test_a_deficient_design_names_its_columns(write: Write) -> None:
    with pytest.raises(NumericsError, match=r"rank deficient: EV3 = EV1 \+ EV2"):
        design_from_files(write("d.csv", "1,0,1\n" * 3 + "0,1,1\n" * 3), write("t.csv", "1,-1,0\n"))


def test_an_f_test_of_opposite_contrasts_is_remarked(write: Write) -> None:
    design = design_from_files(write("d.mat", MAT), write("d.con", CON), write("f.csv", "1,1\n"))
    assert [remark.partition(":")[0] for remark in design.remarks] == [
        "contrast 'c3' has 2 rows that depend on each other"
    ]
