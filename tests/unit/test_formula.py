"""Formulas: what the grammar reads, and how it refuses the rest."""

import pytest

from thalgpu.engine.inference.formula import parse_formula, term_name
from thalgpu.errors import NumericsError


def terms(text: str) -> list[str]:
    return [term_name(term) for term in parse_formula(text).terms]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("group + age + sex", ["group", "age", "sex"]),
        ("~ group+age", ["group", "age"]),
        ("group*age", ["group", "age", "group:age"]),
        ("a*b*c", ["a", "b", "c", "a:b", "a:c", "b:c", "a:b:c"]),
        ("group:age + group", ["group", "group:age"]),
        ("group*age + age + age:group", ["group", "age", "group:age"]),
        ("age + age^2", ["age", "age^2"]),
        ("poly(age, 3)", ["age", "age^2", "age^3"]),
        ("group*poly(age,2)", ["group", "age", "age^2", "group:age", "group:age^2"]),
        ("`pain score` + x.1 + âge", ["pain score", "x.1", "âge"]),
        ("C(site) + C + poly", ["site", "C", "poly"]),
        ("1", []),
    ],
)
def test_terms_are_read_and_ordered_as_in_r(text: str, expected: list[str]) -> None:
    assert terms(text) == expected


def test_c_marks_a_column_as_categories() -> None:
    (factor,) = parse_formula("C(site)").terms[0]
    assert factor.categorical


@pytest.mark.parametrize(
    ("text", "wish"), [("age", None), ("1 + age", True), ("age + 0", False), ("0 + 0 + age", False)]
)
def test_intercept_is_what_was_written(text: str, wish: bool | None) -> None:
    assert parse_formula(text).intercept is wish


def test_names_come_in_the_order_of_the_terms() -> None:
    assert parse_formula("age:sex + group + age").names == ("group", "age", "sex")


@pytest.mark.parametrize(
    ("text", "piece", "character"),
    [
        ("group - age", "'-'", 7),
        ("group + ", "the end", 9),
        ("group age", "'age'", 7),
        ("(group + age)", "'('", 1),
        ("log(age)", "'log'", 1),
        ("`C`(site)", "'C'", 1),
        ("age^1", "'1'", 5),
        ("age^10", "'10'", 5),
        ("age^x", "'x'", 5),
        ("age:age", "'age'", 5),
        ("age*age^2", "'2'", 9),
        ("1:age", "'1'", 1),
        ("age*1", "'1'", 5),
        ("2 + age", "'2'", 1),
        ("1 + 0 + age", "'0'", 5),
        ("C(site", "the end", 7),
        ("C(1)", "'1'", 3),
        ("poly(age)", "')'", 9),
        ("a b `", "'`'", 5),
        ("a*b*c*d*e*f*g*h*i*j*k*l", "'i'", 17),
    ],
)
def test_errors_name_the_offending_piece_and_its_position(text: str, piece: str, character: int) -> None:
    with pytest.raises(NumericsError) as caught:
        parse_formula(text)
    message = str(caught.value)
    assert message.startswith(f"{piece} ")
    assert message.split(" — ")[0].endswith(f"character {character})")
    assert caught.value.remedy


def test_a_name_twice_in_a_product_points_to_powers() -> None:
    with pytest.raises(NumericsError, match=r"write age\^2 for its square"):
        parse_formula("age*age")


def test_a_column_is_either_numbers_or_categories() -> None:
    with pytest.raises(NumericsError, match=r"'site' is used both as it is and as C\(site\)"):
        parse_formula("site + C(site)")


@pytest.mark.parametrize("text", ["", "  ", "~", "0"])
def test_a_formula_without_terms_is_refused(text: str) -> None:
    with pytest.raises(NumericsError):
        parse_formula(text)


def test_a_very_long_formula_is_refused_before_it_is_read() -> None:
    with pytest.raises(NumericsError, match="2001 characters"):
        parse_formula("a" * 2001)
