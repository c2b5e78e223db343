"""Permutations drawn by PALM and randomise."""

import numpy as np
import pytest

from thalgpu.engine.inputs.permutation_files import read_permutations
from thalgpu.errors import InputError


@pytest.fixture
def write(tmp_path):
    def written(text):
        path = tmp_path / "permutations.txt"
        path.write_bytes(text.encode())
        return path

    return written


@pytest.mark.parametrize(
    "text",
    [
        "1,2,3\n3,-1,2\n",
        "1;2;3\r\n3;-1;2",
        "\ufeff1, 2, 3,\n3, -1, 2,\n",
        " 1  2  3 \n 3 -1 2 \n\n",
        "# a comment\n1.000000e+00 2.000000e+00 3.000000e+00\n3.000000e+00 -1.000000e+00 2.000000e+00\n",
    ],
)
def test_one_permutation_a_line_in_every_dialect(write, text):
    np.testing.assert_array_equal(read_permutations(write(text), 3), [[1, 2, 3], [3, -1, 2]])


def test_one_permutation_a_column_is_turned(write):
    np.testing.assert_array_equal(read_permutations(write("1 3\n2 1\n3 2\n"), 3), [[1, 2, 3], [3, 1, 2]])


def test_a_square_table_is_read_by_lines_if_that_makes_sense(write):
    lines = [[1, 2, 3], [3, 1, 2], [2, 3, 1]]
    assert read_permutations(write("1 2 3\n3 1 2\n2 3 1"), 3).tolist() == lines
    np.testing.assert_array_equal(read_permutations(write("1 3 1\n2 1 2\n3 2 3"), 3), [[1, 2, 3], [3, 1, 2], [1, 2, 3]])


def test_flips_of_randomise_are_signs_of_everybody_in_place(write):
    found = read_permutations(write("1 1 1 1\n-1 1 1 -1\n"), 4)
    np.testing.assert_array_equal(found, [[1, 2, 3, 4], [-1, 2, 3, -4]])


@pytest.mark.fault("damaged settings or permutations")
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1 2 3\n1 2 2\n", r"subject 2 comes 2 times in one permutation \(.*:line 2\)"),
        ("1 2 3\n\n1 -2 2\n", r"subject 2 comes 2 times .*:line 3"),
        ("1 2 3\n0 1 2\n", "0 is no subject's number, which are 1 to 3.*:line 2"),
        ("1 2 3\n1 2 4\n", "4 is no subject's number.*:line 2"),
        ("1 2\n2 4\n3 1\n", "4 is no subject's number.*:column 2"),
        ("1 2 3\n1 2.5 3\n", r"2\.5 is not the whole number.*:line 2"),
        ("1 2 3\n1 1e30 3\n", "1e30 is not the whole number"),
        ("1 2 3\n1 2 1e999\n", "1e999 is not the whole number"),
        ("1 2 3\n1 x 3\n", "'x' is not a number.*:line 2"),
        ("1 2 3\n1 nan 3\n", "'nan' is not a number"),
        ("1 2 3\n1 1_0 3\n", "'1_0' is not a number"),
        ("1,2,3\n1,,3\n", "'' is not a number"),
        ("1 2 3\n1 2\n", "2 numbers, where line 1 has 3.*:line 2"),
        ("1 2 3 4\n4 3 2 1\n", "2 lines of 4 numbers, where the design has 3 subjects"),
        ("\n# nothing\n", "no permutation in it"),
    ],
)
def test_what_is_no_permutation_is_refused_with_its_line(write, text, words):
    with pytest.raises(InputError, match=words):
        read_permutations(write(text), 3)


def test_a_file_that_is_not_text_is_refused(tmp_path):
    (tmp_path / "scan.txt").write_bytes(b"\xff\xfe\x00\x01")
    with pytest.raises(InputError, match="not text"):
        read_permutations(tmp_path / "scan.txt", 3)


def test_an_absent_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot be opened"):
        read_permutations(tmp_path / "none.csv", 3)
