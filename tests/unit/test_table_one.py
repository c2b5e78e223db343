"""Table 1: cells, tests that fit each variable, missing values, and variables with nothing to test in words."""

import csv

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from thalgpu.engine.clinical.summaries import p_in_words
from thalgpu.engine.clinical.table_one import table_one
from thalgpu.engine.outputs.sidecars import write_table
from thalgpu.errors import NumericsError

LABELS = ["P", "P", "P", "P", "C", "C", "C", "C"]
IDS = [f"{k:02d}" for k in range(8)]
COLUMNS = {
    "age": ["30", "40", "50", "60", "35", "45", "n/a", "25"],
    "sex": ["F", "F", "F", "M", "M", "M", "", "M"],
    "pain": ["5", "6", "7", "8", "0", "0", "0", "0"],
    "site": ["1", "1", "2", "2", "1", "1", "2", "2"],
    "country": ["SE"] * 8,
    "scale": ["n/a", "n/a", "n/a", "n/a", "3", "4", "5", "6"],
    "lost": [""] * 8,
    "grade": ["definite", "possible", "Possible", "unlikely", "unlikely", "unlikely", "unlikely", "unlikely"],
    "dose": ["0.001", "0.0021", "0.0034", "0.004", "0.005", "0.0062", "0.007", "0.008"],
}


def rows(*variables, **options):
    return table_one(COLUMNS, LABELS, IDS, variables, **options).rows


def test_numbers_are_means_and_sds_of_those_with_a_value():
    (age,) = rows("age")
    assert age.cells == ("45.0 ± 12.9", "35.0 ± 10.0")
    assert age.missing == (0, 1)


def test_numbers_are_tested_without_those_missing():
    (age,) = rows("age")
    expected = stats.ttest_ind([30, 40, 50, 60], [35, 45, 25], equal_var=False)
    assert age.test.p == pytest.approx(expected.pvalue, rel=1e-12)
    assert age.test.name == "Welch's t"


def test_asked_for_medians_are_tested_by_ranks():
    (age,) = rows("age", medians=["age"])
    assert age.cells == ("45.0 [37.5 to 52.5]", "35.0 [30.0 to 40.0]")
    assert age.test.p == pytest.approx(stats.mannwhitneyu([30, 40, 50, 60], [35, 45, 25]).pvalue, rel=1e-12)
    assert "ranks: age." in table_one(COLUMNS, LABELS, IDS, ["age", "sex"], medians=["age"]).notes[1]


def test_text_is_counted_with_its_test_in_the_first_row():
    female, male = rows("sex")
    assert (female.level, female.cells) == ("F", ("3 (75 %)", "0 (0 %)"))
    assert (male.level, male.cells) == ("M", ("1 (25 %)", "3 (100 %)"))
    assert male.test is None
    assert female.test.p == pytest.approx(stats.fisher_exact([[3, 1], [0, 3]]).pvalue, rel=1e-12)


def test_numbers_are_categories_if_asked():
    assert [row.level for row in rows("site", categories=["site"])] == ["1", "2"]
    assert [row.level for row in rows("site")] == [""]


def test_grades_come_in_their_own_order():
    assert [row.level for row in rows("grade")] == ["unlikely", "Possible", "possible", "definite"]


def test_small_numbers_keep_three_digits_of_their_spread():
    assert rows("dose")[0].cells == ("0.00262 ± 0.00134", "0.00655 ± 0.00127")


WORDS = {
    "country": "not tested: the same in all",
    "pain": "not tested: fewer than two groups have values that differ",
    "scale": "not tested: fewer than two groups have values that differ",
    "lost": "not tested: nobody has a value",
}


@pytest.mark.parametrize("variable", WORDS)
def test_what_cannot_be_tested_is_said(variable):
    (row,) = rows(variable)
    assert (row.test, row.remark) == (None, WORDS[variable])


def test_groups_that_do_not_vary_are_left_out_of_the_test_and_named():
    values = {"pain": [*"5679", *"2345", *"0000"]}
    table = table_one(values, ["P"] * 4 + ["Q"] * 4 + ["C"] * 4, [f"{k:02d}" for k in range(12)], ["pain"])
    (row,) = table.rows
    assert row.test.p == pytest.approx(stats.ttest_ind([5, 6, 7, 9], [2, 3, 4, 5], equal_var=False).pvalue, rel=1e-12)
    assert row.remark == "C not tested: the same in all"


def test_people_without_a_group_are_not_counted():
    table = table_one(COLUMNS, ["P", *LABELS[1:4], None, *LABELS[5:]], IDS, ["age"])
    assert (table.groups, table.sizes) == (("P", "C"), (4, 3))


def test_groups_come_in_the_order_that_is_asked_for():
    table = table_one(COLUMNS, LABELS, IDS, ["age"], order=["C", "P"])
    assert table.header == ("", "C (n = 4)", "P (n = 4)", "missing", "test", "p", "effect size")
    assert table.cells[0][1:3] == ("35.0 ± 10.0", "45.0 ± 12.9")
    assert table.rows[0].test.effect < 0  # the first group less the second


def test_one_group_is_described_and_not_tested():
    table = table_one(COLUMNS, LABELS, IDS, ["age", "sex"], order=["P"])
    assert [row.test for row in table.rows] == [None] * 3
    assert [row.remark for row in table.rows] == ["one group only", "one group only", ""]


def test_skewed_numbers_are_named_and_still_described_by_means():
    values = {"duration": [str(round(1.7**k, 2)) for k in range(10)] * 2}
    table = table_one(values, ["P"] * 10 + ["C"] * 10, [f"{k:02d}" for k in range(20)], ["duration"])
    skew = stats.skew([round(1.7**k, 2) for k in range(10)], bias=False)
    assert table.notes[-1].startswith(f"duration is skewed in P ({skew:+.1f}), C ({skew:+.1f}):")
    assert "±" in table.rows[0].cells[0]


@pytest.mark.parametrize(
    ("columns", "labels", "options", "message"),
    [
        ({"age": ["1", "2"]}, ["P", "C"], {}, "no column 'ages' — did you mean 'age'"),
        ({"ages": ["1", "2", "old"]}, ["P", "P", "C"], {}, "number for most people, but 'old' for sub-02"),
        ({"ages": ["1", "2"]}, ["P", "C"], {"order": ["P", "Q"]}, "nobody is in group 'Q' — groups: C, P"),
        ({"ages": ["1", "2"]}, [None, None], {}, "nobody is in any group"),
        ({"ages": ["1", "1e200"]}, ["P", "C"], {}, "ages of sub-01 is beyond"),
        ({"ages": ["1", "1e-200"]}, ["P", "C"], {}, "ages of sub-01 is beyond"),
    ],
)
def test_tables_that_cannot_be_made_are_refused(columns, labels, options, message):
    with pytest.raises(NumericsError, match=message):
        table_one(columns, labels, IDS, ["ages"], **options)


@pytest.mark.parametrize(("p", "words"), [(0.0311, ".031"), (0.0004, "<.001"), (1.0, "1.000"), (0.001, ".001")])
def test_p_is_written_with_three_digits(p, words):
    assert p_in_words(p) == words


def test_records_can_be_written_and_read(tmp_path):
    table = table_one(COLUMNS, LABELS, IDS, list(COLUMNS))
    write_table(tmp_path / "t.tsv", table.columns, table.records)
    with (tmp_path / "t.tsv").open(newline="") as file:
        found = list(csv.DictReader(file, delimiter="\t"))
    assert [row["group_P"] for row in found] == [row.cells[0] for row in table.rows]
    assert float(found[0]["p"]) == pytest.approx(table.rows[0].test.p, rel=1e-7)
    assert found[0]["missing_C"] == "1"


CELLS = st.one_of(
    st.sampled_from(["", "n/a", "F", "M", "0", "1", "-3", "2.5", "1e-90", "-1e90"]),
    st.integers(-9, 9).map(str),
    st.floats(-1e99, 1e99).map(repr),
)
GROUPS = st.sampled_from(["P", "Q", "C", None])


@given(st.lists(st.tuples(CELLS, GROUPS), min_size=1, max_size=25), st.booleans(), st.booleans())
@settings(max_examples=100, deadline=None)
def test_any_column_gives_a_finite_table_or_a_named_error(people, by_rank, as_category):
    cells, labels = zip(*people, strict=True)
    chosen = {"medians": ["x"] if by_rank else [], "categories": ["x"] if as_category else []}
    try:
        table = table_one({"x": cells}, labels, [f"{k:02d}" for k in range(len(cells))], ["x"], **chosen)
    except NumericsError:
        return
    for record in table.records:
        numbers = [value for value in record.values() if isinstance(value, float)]
        assert np.isfinite(numbers).all()
        assert record["p"] is None or 0 <= record["p"] <= 1
    assert all(len(row) == len(table.header) for row in table.cells)
