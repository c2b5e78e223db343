"""Designs from tables: coding, demeaning, missing values, blocks."""

from typing import Any

import numpy as np
import pytest

from thalgpu.engine.inference.model import Design
from thalgpu.engine.inference.table_design import design_from_table, tree_from_column
from thalgpu.errors import NumericsError

IDS = tuple(f"{k:02d}" for k in range(1, 10))
TABLE = {
    "group": list("AAABBBCCC"),
    "sex": list("FMFMFMFMM"),
    "age": ["20", "30", "40", "25", "35", "45", "50", "60", "55"],
    "site": ["2", "10", "2", "10", "2", "10", "2", "10", "2"],
    "pain score": ["1.5", "2", "7", "4", "9", "3", "8", "5", "5.5"],
    "family": ["x", "x", "x", "y", "y", "y", "z", "z", "z"],
}
AGE = np.array([20.0, 30, 40, 25, 35, 45, 50, 60, 55])
A, B, C = (np.array([float(g == level) for g in TABLE["group"]]) for level in "ABC")
M = np.array([float(s == "M") for s in TABLE["sex"]])


def build(formula: str, contrasts: tuple[str, ...] = (), f_tests: tuple[str, ...] = (), **options: Any) -> Design:
    return design_from_table({**TABLE, **options.pop("extra", {})}, IDS, formula, contrasts, f_tests, **options)


def test_the_first_categories_have_a_mean_each_and_others_a_reference() -> None:
    design = build("group + sex")
    assert design.columns == ("group[A]", "group[B]", "group[C]", "sex[M]")
    np.testing.assert_array_equal(design.matrix, np.column_stack([A, B, C, M]))
    assert design.ids == IDS


def test_group_by_age_is_coded_as_r_codes_it() -> None:
    """R: model.matrix(~ 0 + group*age) has groupA groupB groupC age groupB:age groupC:age."""
    design = build("group*age", demean=False)
    assert design.columns == ("group[A]", "group[B]", "group[C]", "age", "group[B]:age", "group[C]:age")
    np.testing.assert_array_equal(design.matrix, np.column_stack([A, B, C, AGE, B * AGE, C * AGE]))


def test_slopes_without_a_common_slope_are_one_a_level() -> None:
    """R: ~ 0 + group + group:age has groupA:age groupB:age groupC:age."""
    design = build("group + group:age", demean=False)
    assert design.columns[3:] == ("group[A]:age", "group[B]:age", "group[C]:age")
    np.testing.assert_array_equal(design.matrix[:, 3:], np.column_stack([A, B, C]) * AGE[:, None])


def test_an_interaction_without_one_main_effect_keeps_the_levels_of_the_other() -> None:
    """R: ~ group + group:sex has groupA:sexM groupB:sexM groupC:sexM, each group's difference of the sexes."""
    design = build("group + group:sex")
    assert design.columns[3:] == ("group[A]:sex[M]", "group[B]:sex[M]", "group[C]:sex[M]")


def test_cells_take_the_place_of_the_intercept_where_there_is_no_main_effect() -> None:
    design = build("sex:group")
    assert design.columns[:3] == ("sex[F]:group[A]", "sex[M]:group[A]", "sex[F]:group[B]")
    np.testing.assert_array_equal(design.matrix.sum(axis=1), 1)


def test_an_explicit_1_asks_for_an_intercept_and_a_reference() -> None:
    design = build("1 + group")
    assert design.columns == ("intercept", "group[B]", "group[C]")
    np.testing.assert_array_equal(design.matrix, np.column_stack([np.ones(9), B, C]))


def test_covariates_alone_have_an_intercept_unless_0_is_written() -> None:
    assert build("age").columns == ("intercept", "age")
    assert build("0 + age").columns == ("age",)
    assert build("1", ("1",)).matrix.tolist() == [[1.0]] * 9


def test_covariates_are_demeaned_before_powers_and_products() -> None:
    design = build("group + poly(age, 2) + group:age")
    centred = AGE - 40
    np.testing.assert_array_equal(design.matrix[:, 3], centred)
    np.testing.assert_array_equal(design.matrix[:, 4], centred**2)
    np.testing.assert_array_equal(design.matrix[:, 5], B * centred)


def test_numbers_in_c_are_categories_in_the_order_of_numbers() -> None:
    assert build("C(site)").columns == ("site[2]", "site[10]")


def test_a_given_order_of_levels_sets_the_reference() -> None:
    design = build("group + sex", levels={"sex": ["M", "F"]})
    assert design.columns[3] == "sex[F]"


def test_an_order_must_name_every_level() -> None:
    with pytest.raises(NumericsError, match="group has levels without a place in the order given: B"):
        build("group", levels={"group": ["A", "C"]})


@pytest.mark.parametrize(
    ("formula", "contrast", "expected"),
    [
        ("group + age", "A - B", [1, -1, 0, 0]),
        ("group + sex", "M - F", [0, 0, 0, 1]),
        ("group*age", "group[B]:age - group[A]:age", [0, 0, 0, 0, 1, 0]),
        ("group*age", "age:group[C] - age : group[B]", [0, 0, 0, 0, -1, 1]),
        ("group + age + age^2", "age^2", [0, 0, 0, 0, 1]),
        ("1 + group", "A - B", [0, -1, 0]),
        ("age", "intercept", [1, 0]),
        ("group + `pain score`", "pain score", [0, 0, 0, 1]),
    ],
)
def test_contrasts_reach_every_coefficient(formula: str, contrast: str, expected: list[float]) -> None:
    np.testing.assert_array_equal(build(formula, (contrast,)).contrasts[0].weights, [expected])


@pytest.mark.parametrize(
    ("formula", "f_test", "expected"),
    [
        ("group + age", "group", [[-1, 1, 0, 0], [-1, 0, 1, 0]]),
        ("1 + group", "group", [[0, 1, 0], [0, 0, 1]]),
        ("group*age", "age:group", [[0, 0, 0, 0, 1, 0], [0, 0, 0, 0, 0, 1]]),
        ("C(site) + age", "C(site)", [[-1, 1, 0]]),
        ("group + age", "group, age", [[-1, 1, 0, 0], [-1, 0, 1, 0], [0, 0, 0, 1]]),
    ],
)
def test_f_tests_of_terms(formula: str, f_test: str, expected: list[list[float]]) -> None:
    np.testing.assert_array_equal(build(formula, (), (f_test,)).contrasts[0].weights, expected)


def test_coding_does_not_change_the_answer(rng: np.random.Generator) -> None:
    """Cell means and reference coding are one model: a difference of groups has one estimate."""
    y = rng.standard_normal(9)
    estimates = []
    for formula in ("group*age", "1 + group*age"):
        design = build(formula, ("B - A",))
        estimates.append(float(design.contrasts[0].weights[0] @ np.linalg.lstsq(design.matrix, y, rcond=None)[0]))
    assert estimates[0] == pytest.approx(estimates[1], rel=1e-10)  # two solutions of one least-squares problem


def test_a_level_in_two_factors_must_say_which() -> None:
    extra = {"handed": list("MFMFMMFMF")}
    with pytest.raises(NumericsError, match=r"'M' could be sex\[M\] or handed\[M\]"):
        build("sex + handed", ("M - F",), extra=extra)
    contrast = build("sex + handed", ("sex[M] - sex[F]",), extra=extra).contrasts[0]
    assert contrast.weights.tolist() == [[-1, 1, 0]]


def test_the_coding_is_said_in_words() -> None:
    coding = dict(build("group*age + sex").coding)
    assert coding["group"] == "categories, one column a level and no intercept: its mean (A 3, B 3, C 3)"
    assert coding["age"] == "a number, demeaned by 40"
    assert coding["sex"].startswith("categories, each level against the reference F")
    assert coding["group:age"].endswith("reference group[A], whose coefficient is 0")


def test_whole_numbers_that_may_be_codes_are_remarked() -> None:
    assert build("site").remarks == (
        "site has 2 different numbers and is taken as continuous: write C(site) if they are categories",
    )


def test_a_cell_of_one_subject_is_remarked() -> None:
    remarks = build("sex:group").remarks
    assert "only sub-02 is in sex[M]:group[A] and is fitted exactly" in remarks


@pytest.mark.parametrize("cell", ["", " ", "n/a", "NA", "NaN"])
def test_missing_values_are_an_error_that_names_the_subjects(cell: str) -> None:
    ages = [cell, *TABLE["age"][1:]]
    with pytest.raises(NumericsError, match=r"1 of 9 subjects have missing values: age of sub-01 — .*drop"):
        build("group + age", extra={"age": ages})


def test_subjects_without_values_are_left_out_and_named_on_request() -> None:
    ages = ["n/a", *TABLE["age"][1:]]
    design = build("group + age", extra={"age": ages}, missing="drop")
    assert design.ids == IDS[1:]
    assert design.matrix[:, 3].sum() == pytest.approx(0, abs=1e-12)  # demeaned over those who are left
    assert design.remarks == ("1 of 9 subjects left out for missing values: age of sub-01",)


def test_missing_values_in_columns_that_are_not_used_do_not_matter() -> None:
    assert build("group", extra={"age": [""] * 9}).matrix.shape == (9, 3)


def test_nobody_left_is_an_error() -> None:
    with pytest.raises(NumericsError, match="no subject has a value"):
        build("group + age", extra={"age": [""] * 9}, missing="drop")


@pytest.mark.parametrize(
    ("formula", "extra", "said"),
    [
        ("group + ag", {}, "no column 'ag' — did you mean 'age'"),
        ("group", {"group": list("AAABBBCCD")}, r"a group of one: group\[D\] \(sub-09\)"),
        ("group", {"group": list("AAAAAAAAA")}, "group has one level, A"),
        ("age", {"age": ["30"] * 9}, "age is 30 for every analysed subject"),
        ("age", {"age": ["old", *TABLE["age"][1:]]}, "age is a number for most subjects, but 'old' for sub-01"),
        ("age", {"age": ["inf", *TABLE["age"][1:]]}, "but 'inf' for sub-01"),
        ("age", {"age": [f"{k},5" for k in range(9)]}, "age has decimal commas"),
        ("age", {"age": ["1e300", *TABLE["age"][1:]]}, "beyond 1e\\+100 in intercept|beyond 1e\\+100 in age"),
        ("group^2", {}, r"group\^2 is a power, but group holds categories"),
        ("group + C(copy)", {"copy": list("112233112")}, None),
        ("group + copy", {"copy": list("xxxxxxyyy")}, r"rank deficient: copy\[y\] = group\[C\]"),
        ("group*sex", {"sex": list("FFFMFMFMM")}, r"0 for every subject in .*|rank deficient"),
        ("group*site*age*sex", {}, "columns for 9 subjects"),
    ],
)
def test_designs_that_have_no_answer_say_why(formula: str, extra: dict[str, list[str]], said: str | None) -> None:
    if said is None:
        assert build(formula, extra=extra).matrix.shape[1] == 5
        return
    with pytest.raises(NumericsError, match=said) as caught:
        build(formula, extra=extra)
    assert caught.value.remedy


def test_a_contrast_that_tests_nothing_is_refused() -> None:
    with pytest.raises(NumericsError, match="contrast 'sex\\[F\\]' is zero"):
        build("group + sex", ("sex[F]",))


def test_the_product_of_many_categories_is_refused_before_it_is_made() -> None:
    extra = {f"f{k}": list("AAABBBCCC") for k in range(12)}
    with pytest.raises(NumericsError, match="columns for 9 subjects"):
        build(":".join(extra), extra=extra)


def test_one_column_of_blocks_becomes_a_tree() -> None:
    labels = ["b", "b", "a", "a"]
    assert tree_from_column(labels, whole=False).tolist() == [[-1, 2], [-1, 2], [-1, 1], [-1, 1]]
    assert tree_from_column(labels, whole=True).tolist() == [[1, -2], [1, -2], [1, -1], [1, -1]]


def test_blocks_and_variance_groups_come_from_columns() -> None:
    design = build("group", blocks=["family"], whole=True, variance_groups="sex")
    assert design.blocks is not None
    assert design.variance_groups is not None
    assert design.blocks.tolist() == [[1, -k] for k in (1, 1, 1, 2, 2, 2, 3, 3, 3)]
    assert design.variance_groups.tolist() == [1, 2, 1, 2, 1, 2, 1, 2, 2]


def test_several_columns_of_blocks_are_a_tree_as_written() -> None:
    extra = {"outer": ["-1"] * 9, "inner": list("111222333")}
    design = build("group", blocks=["outer", "inner"], extra=extra)
    assert design.blocks is not None
    assert design.blocks.tolist() == [[-1, k] for k in (1, 1, 1, 2, 2, 2, 3, 3, 3)]


def test_a_tree_of_words_is_refused() -> None:
    with pytest.raises(NumericsError, match="family holds 'x', not the whole numbers"):
        build("group", blocks=["site", "family"])
