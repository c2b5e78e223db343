"""Rank and estimability: who is named."""

import numpy as np
import pytest

from thalgpu.engine.inference.model import Contrast
from thalgpu.engine.inference.rank import aliases, check_contrasts, check_design, redundant_rows
from thalgpu.errors import NumericsError


def contrast(*rows: list[float]) -> Contrast:
    return Contrast("asked", "asked", np.array(rows), "t" if len(rows) == 1 else "f")


@pytest.fixture
def groups() -> np.ndarray:
    """Nine subjects in three groups."""
    return np.repeat(np.eye(3), 3, axis=0)


def test_a_design_of_full_rank_passes(groups: np.ndarray, rng: np.random.Generator) -> None:
    matrix = np.column_stack([groups, rng.standard_normal(9)])
    check_design(matrix, "ABCx")
    assert aliases(matrix, "ABCx") == []


def test_raw_powers_of_a_calendar_year_are_not_aliased() -> None:
    year = np.arange(2005.0, 2025.0)
    check_design(np.column_stack([np.ones(20), year, year**2]), ["1", "year", "year^2"])


def test_a_copy_is_named_with_what_it_equals(groups: np.ndarray) -> None:
    with pytest.raises(NumericsError, match=r"rank deficient: site\[B\] = group\[HC\] —"):
        check_design(groups[:, [0, 1, 2, 2]], ["group[A]", "group[B]", "group[HC]", "site[B]"])


def test_a_combination_is_written_out(groups: np.ndarray) -> None:
    extra = 2 * groups[:, 0] - groups[:, 1] + 0.5 * groups[:, 2]
    assert aliases(np.column_stack([groups, extra]), ["A", "B", "C", "x"]) == ["x = 2*A - B + 0.5*C"]


def test_every_aliased_column_is_named(groups: np.ndarray) -> None:
    assert aliases(groups[:, [0, 0, 1, 1]], ["A", "a", "B", "b"]) == ["a = A", "b = B"]


def test_aliases_do_not_depend_on_units(groups: np.ndarray) -> None:
    assert aliases(np.column_stack([1e9 * groups, 1e-9 * groups[:, 0]]), "ABCa") == ["a = 1e-18*A"]


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e200])
def test_values_without_a_square_are_named(groups: np.ndarray, value: float) -> None:
    groups[0, 1] = value
    with pytest.raises(NumericsError, match="infinity or numbers beyond 1e\\+100 in B"):
        check_design(groups, "ABC")


def test_a_column_of_zeros_is_named(groups: np.ndarray) -> None:
    with pytest.raises(NumericsError, match="0 for every subject in Z"):
        check_design(np.column_stack([groups, np.zeros(9)]), "ABCZ")


def test_as_many_columns_as_subjects_leave_no_residual(rng: np.random.Generator) -> None:
    with pytest.raises(NumericsError, match="4 subjects cannot determine 4 columns"):
        check_design(rng.standard_normal((4, 4)), "ABCD")


def test_two_columns_of_one_name_are_refused(groups: np.ndarray) -> None:
    with pytest.raises(NumericsError, match="two columns of the design are called A"):
        check_design(groups, ["A", "A", "B"])


def test_estimable_contrasts_pass_even_where_the_design_is_deficient(groups: np.ndarray) -> None:
    matrix = np.column_stack([np.ones(9), groups])
    check_contrasts(matrix, "1ABC", [contrast([0, 1, -1, 0]), contrast([0, 1, -1, 0], [0, 0, 1, -1])])


def test_what_the_design_cannot_tell_is_refused(groups: np.ndarray) -> None:
    matrix = np.column_stack([np.ones(9), groups])
    with pytest.raises(NumericsError, match="contrast 'asked' cannot be estimated: the design does not determine A"):
        check_contrasts(matrix, "1ABC", [contrast([0, 1, 0, 0])])


def test_estimability_does_not_depend_on_units(groups: np.ndarray) -> None:
    matrix = np.column_stack([groups, 1e-12 * np.arange(9)])
    check_contrasts(matrix, "ABCx", [contrast([0, 0, 0, 1e-12]), contrast([0, 0, 0, 1e12])])


def test_a_contrast_of_zeros_is_refused(groups: np.ndarray) -> None:
    with pytest.raises(NumericsError, match="contrast 'asked' is zero"):
        check_contrasts(groups, "ABC", [contrast([0, 0, 0])])


def test_an_f_test_may_be_of_all_pairwise_differences_and_this_is_said(groups: np.ndarray) -> None:
    rows = ([1, -1, 0], [0, 1, -1], [1, 0, -1])
    asked = [contrast(*rows), contrast(*rows[:2])]
    check_contrasts(groups, "ABC", asked)
    said = "contrast 'asked' has 3 rows that depend on each other: 2 of them say it all, and 2 are counted"
    assert redundant_rows(asked) == [said]


@pytest.mark.parametrize("row", [[1.0, -1.0], [1.0, -1.0, np.nan]])
def test_weights_that_do_not_fit_are_refused(groups: np.ndarray, row: list[float]) -> None:
    with pytest.raises(NumericsError, match="3 columns"):
        check_contrasts(groups, "ABC", [contrast(row)])
