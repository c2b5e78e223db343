"""Confounds tables and the strategies made from them."""

from pathlib import Path

import numpy as np
import pytest

from thalgpu.engine.inputs.confounds import confound_regressors, framewise_displacement, read_confounds
from thalgpu.errors import InputError, UsageError

MOTION = ["trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z"]
TISSUES = ["csf", "white_matter", "global_signal"]
N = 8


def write(path: Path, columns: dict[str, np.ndarray], **text: dict[int, str]) -> Path:
    """A TSV of columns, in which the fields named by `text` (column → row → field) are replaced."""
    rows = [[repr(float(value)) for value in row] for row in np.column_stack(list(columns.values()))]
    for name, fields in text.items():
        for row, field in fields.items():
            rows[row][list(columns).index(name)] = field
    path.write_text("\n".join("\t".join(line) for line in [list(columns), *rows]) + "\n")
    return path


@pytest.fixture
def columns(rng) -> dict[str, np.ndarray]:
    names = [*MOTION, *TISSUES, *(f"a_comp_cor_{i:02d}" for i in range(7)), "cosine00", "cosine01"]
    return {name: rng.normal(size=N) for name in [*names, "framewise_displacement"]}


def expanded(base: np.ndarray) -> np.ndarray:
    differences = np.vstack([np.zeros(base.shape[1]), base[1:] - base[:-1]])
    return np.hstack([base, differences, base**2, differences**2])


@pytest.mark.parametrize(("strategy", "names"), [("24p", MOTION), ("36p", MOTION + TISSUES)])
def test_parameters_are_expanded_by_differences_and_squares(tmp_path, columns, strategy, names):
    found = confound_regressors(read_confounds(write(tmp_path / "c.tsv", columns)), strategy)
    np.testing.assert_array_equal(found, expanded(np.column_stack([columns[name] for name in names])))
    assert found.shape[1] == int(strategy[:2])


def test_acompcor_is_motion_with_differences_five_components_and_cosines(tmp_path, columns):
    found = confound_regressors(read_confounds(write(tmp_path / "c.tsv", columns)), "acompcor")
    assert found.shape == (N, 12 + 5 + 2)
    np.testing.assert_array_equal(found[:, 16], columns["a_comp_cor_04"])
    np.testing.assert_array_equal(found[:, 17], columns["cosine00"])


def test_named_columns_are_taken_as_they_are(tmp_path, columns):
    found = confound_regressors(read_confounds(write(tmp_path / "c.tsv", columns)), ("csf", "rot_x"))
    np.testing.assert_array_equal(found, np.column_stack([columns["csf"], columns["rot_x"]]))


def test_none_is_no_regressor(tmp_path, columns):
    assert confound_regressors(read_confounds(write(tmp_path / "c.tsv", columns)), "none").shape == (N, 0)


def test_an_unknown_strategy_is_a_usage_error(tmp_path, columns):
    with pytest.raises(UsageError, match="37p"):
        confound_regressors(read_confounds(write(tmp_path / "c.tsv", columns)), "37p")


def test_old_fmriprep_names_are_found(tmp_path, columns):
    old = dict(zip(["X", "Y", "Z", "RotX", "RotY", "RotZ"], (columns[name] for name in MOTION), strict=True))
    new = write(tmp_path / "new.tsv", columns)
    assert np.array_equal(
        confound_regressors(read_confounds(write(tmp_path / "old.tsv", old)), "24p"),
        confound_regressors(read_confounds(new), "24p"),
    )


def test_the_first_row_of_displacement_may_be_missing(tmp_path, columns):
    path = write(tmp_path / "c.tsv", columns, framewise_displacement={0: "n/a"})
    found = framewise_displacement(read_confounds(path))
    np.testing.assert_array_equal(found, [0, *columns["framewise_displacement"][1:]])


@pytest.mark.parametrize(
    "name", ["trans_x_derivative1", "csf_derivative1_power2", "std_dvars", "rmsd", "vx-wisestdDVARS"]
)
def test_the_first_row_of_a_named_difference_may_be_missing(tmp_path, rng, name):
    values = rng.normal(size=N)
    path = write(tmp_path / "c.tsv", {name: values}, **{name: {0: "n/a"}})
    np.testing.assert_array_equal(confound_regressors(read_confounds(path), (name,))[:, 0], [0, *values[1:]])


def test_the_first_row_of_a_named_parameter_may_not_be_missing(tmp_path, columns):
    path = write(tmp_path / "c.tsv", columns, trans_x={0: "n/a"})
    with pytest.raises(InputError, match=r"'n/a' in column 'trans_x' is not a number .*line 2"):
        confound_regressors(read_confounds(path), ("trans_x", "trans_y"))


@pytest.mark.parametrize("name", ["framewise_displacement", "trans_x", "trans_x_derivative1"])
def test_a_column_without_a_number_is_refused(tmp_path, rng, name):
    path = write(tmp_path / "c.tsv", {name: rng.normal(size=N)}, **{name: dict.fromkeys(range(N), "n/a")})
    with pytest.raises(InputError, match=f"in column '{name}' is not a number"):
        confound_regressors(read_confounds(path), (name,))


def test_displacement_without_a_number_is_refused(tmp_path, columns):
    path = write(tmp_path / "c.tsv", columns, framewise_displacement=dict.fromkeys(range(N), "n/a"))
    with pytest.raises(InputError, match="line 3"):
        framewise_displacement(read_confounds(path))


def test_displacement_is_none_where_no_column_has_its_name(tmp_path, columns):
    assert framewise_displacement(read_confounds(write(tmp_path / "c.tsv", {"csf": columns["csf"]}))) is None


def test_a_gap_further_down_is_refused_with_its_line(tmp_path, columns):
    path = write(tmp_path / "c.tsv", columns, framewise_displacement={0: "n/a", 4: "n/a"})
    with pytest.raises(InputError, match=r"line 6.*"):
        framewise_displacement(read_confounds(path))


@pytest.mark.parametrize("field", ["n/a", "abc", "inf", "1_0", "", "0x10"])
def test_a_field_that_is_not_a_number_is_refused_with_its_line(tmp_path, columns, field):
    path = write(tmp_path / "c.tsv", columns, trans_x={0: field})
    with pytest.raises(InputError, match="line 2"):
        confound_regressors(read_confounds(path), "24p")


def test_a_missing_column_is_named(tmp_path, columns):
    del columns["rot_y"]
    with pytest.raises(InputError, match="rot_y"):
        confound_regressors(read_confounds(write(tmp_path / "c.tsv", columns)), "24p")


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "empty"),
        (b"csf\n", "empty"),
        (b"csf\trot_x\n1\t2\n3\n", "line 3"),
        (b"csf\n1\n\n2\n3\t4\n", "line 5"),
        (b"csf\n\xff\xfe\n", "UTF-8"),
    ],
)
def test_a_broken_table_is_refused(tmp_path, content, what):
    (tmp_path / "c.tsv").write_bytes(content)
    with pytest.raises(InputError, match=what):
        read_confounds(tmp_path / "c.tsv")


def test_a_column_that_stands_twice_is_refused(tmp_path):
    (tmp_path / "c.tsv").write_text("csf\tcsf\n1\t2\n")
    with pytest.raises(InputError, match="more than one"):
        confound_regressors(read_confounds(tmp_path / "c.tsv"), ("csf",))


def test_byte_order_mark_and_windows_line_ends_are_accepted(tmp_path):
    (tmp_path / "c.tsv").write_bytes(b"\xef\xbb\xbfcsf\trot_x\r\n1\t2\r\n3\t4\r\n")
    np.testing.assert_array_equal(confound_regressors(read_confounds(tmp_path / "c.tsv"), ("rot_x",)), [[2], [4]])
