"""Tables of phenotypes: what is read, what is refused with its line, and who is paired with whom."""

from pathlib import Path

import pytest

from thalgpu.engine.inputs.design_table import DesignTable, match_subjects, read_design_table
from thalgpu.errors import InputError


def read(tmp_path: Path, content: str | bytes, name: str = "participants.tsv") -> DesignTable:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_design_table(path)


@pytest.fixture
def table(tmp_path: Path) -> DesignTable:
    return read(tmp_path, "participant_id\tage\nsub-01\t30\nsub-02\t40\nsub-03\t50\n")


def test_ids_lose_their_prefix_and_stay_text(tmp_path: Path) -> None:
    found = read(tmp_path, "participant_id\tage\tsex\nsub-0012\t30\tF\n0013\t 31 \tNA\n")
    assert found.ids == ("0012", "0013")
    assert found.columns == {"age": ("30", "31"), "sex": ("F", "NA")}


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfparticipant_id\tage\r\nsub-01\t30\r\n",
        b"participant_id\tage\rsub-01\t30",
        b"participant_id,age\n\nsub-01,30\n\n\n",
        b"participant_id;age\nsub-01;30\n",
        b'"participant_id"\t"age"\n"sub-01"\t"30"\n',
        b"age\tparticipant_id\n30\tsub-01\n",
    ],
)
def test_spreadsheets_of_every_kind_say_the_same(tmp_path: Path, content: bytes) -> None:
    found = read(tmp_path, content)
    assert (found.ids, dict(found.columns)) == (("01",), {"age": ("30",)})


def test_line_breaks_between_quotes_become_spaces(tmp_path: Path) -> None:
    assert read(tmp_path, 'participant_id,"pain\nscore"\n01,3\n').columns == {"pain score": ("3",)}


def test_quotes_protect_separators(tmp_path: Path) -> None:
    assert read(tmp_path, 'participant_id,job\n01,"cook, baker"\n').columns["job"] == ("cook, baker",)


@pytest.mark.fault("damaged design, contrasts or participants")
@pytest.mark.parametrize(
    ("content", "line", "said"),
    [
        ("", None, "the table is empty"),
        ("participant_id\tage\n", 1, "a header but no row"),
        ("subject\tage\n01\t30\n", 1, "no column 'participant_id'"),
        ("participant_id\tage\tage\n01\t30\t31\n", 1, "column 'age' appears twice"),
        ("participant_id\tage\t\n01\t30\t\n", 1, "column 3 has no name"),
        ("participant_id\tage\n01\t30\n02\n", 3, "1 cells under 2 columns"),
        ("participant_id\tage\n01\t30\n02\t31\tx\n", 3, "3 cells under 2 columns"),
        ("participant_id\tage\n01\t30\n\nsub-01\t31\n", 4, "participant 01 is in line 2 already"),
        ("participant_id\tage\n../01\t30\n", 2, "not letters and digits only"),
        ("participant_id\tage\n\t30\n", 2, "not letters and digits only"),
        ("participant_id\tage\n01\t3\x000\n", 2, "control character U\\+0000"),
        (b"participant_id\tage\n01\t\xff\xfe\n", 2, "not UTF-8 text"),
        ("participant_id\tage\n01\t" + "9" * 200_000 + "\n", 2, "cannot be read as a table"),
    ],
)
def test_a_bad_table_is_refused_with_its_line(
    tmp_path: Path, content: str | bytes, line: int | None, said: str
) -> None:
    with pytest.raises(InputError, match=said) as caught:
        read(tmp_path, content)
    assert caught.value.where == str(tmp_path / "participants.tsv") + (f":{line}" if line else "")
    assert caught.value.remedy


def test_a_file_that_is_absent_or_far_too_large_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no file"):
        read_design_table(tmp_path / "absent.tsv")
    with (tmp_path / "image.tsv").open("wb") as file:
        file.truncate(17 << 20)
    with pytest.raises(InputError, match="more than 16 MiB"):
        read_design_table(tmp_path / "image.tsv")


def test_rows_are_paired_in_the_order_of_the_maps(table: DesignTable) -> None:
    matched = match_subjects(["sub-03", "01", "02"], table)
    assert matched.maps == (0, 1, 2)
    assert matched.table.columns["age"] == ("50", "30", "40")
    assert matched.remarks == ()


def test_both_sides_that_lack_something_are_named(table: DesignTable) -> None:
    with pytest.raises(InputError) as caught:
        match_subjects(["01", "07", "08"], table)
    assert caught.value.reason == "maps but no row in the table: sub-07, sub-08; a row but no maps: sub-02, sub-03"
    assert "--missing drop" in str(caught.value.remedy)


def test_long_lists_of_subjects_are_shortened(table: DesignTable) -> None:
    with pytest.raises(InputError, match="sub-19 and 5 more; a row but"):
        match_subjects([f"{k}" for k in range(10, 25)] + ["01"], table)


def test_those_with_both_are_kept_on_request(table: DesignTable) -> None:
    matched = match_subjects(["07", "03", "01"], table, missing="drop")
    assert matched.maps == (1, 2)
    assert matched.table.ids == ("03", "01")
    assert matched.remarks == (
        "left out, maps but no row in the table: sub-07",
        "left out, a row but no maps: sub-02",
    )


def test_leading_zeros_are_pointed_out(table: DesignTable) -> None:
    with pytest.raises(InputError, match="ids are text, 1 is not 01"):
        match_subjects(["1", "2", "3"], table)


@pytest.mark.fault("damaged design, contrasts or participants")
def test_nobody_in_common_is_an_error_even_when_dropping(table: DesignTable) -> None:
    with pytest.raises(InputError, match="nobody has both"):
        match_subjects(["x", "y"], table, missing="drop")


@pytest.mark.fault("damaged design, contrasts or participants")
def test_two_maps_of_one_subject_are_refused(table: DesignTable) -> None:
    with pytest.raises(InputError, match="more than one map of sub-01"):
        match_subjects(["01", "sub-01", "02", "03"], table)
