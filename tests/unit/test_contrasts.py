"""Contrasts by name: what they weigh, what they are called, and how unknown ones are refused."""

import numpy as np
import pytest

from thalgpu.engine.inference.contrast_expression import Coefficients
from thalgpu.engine.inference.contrasts import build_contrasts, parse_contrast, parse_f_test
from thalgpu.errors import NumericsError

COLUMNS = ("group[non-neuCLBP]", "group[neuCLBP]", "group[HC]", "age", "pain score", "sex[M]")


@pytest.fixture
def names() -> Coefficients:
    unit = dict(zip(COLUMNS, np.eye(6), strict=True))
    levels = {name: unit[f"group[{name}]"] for name in ("non-neuCLBP", "neuCLBP", "HC")}
    sex = {"M": unit["sex[M]"], "F": np.zeros(6), "sex[F]": np.zeros(6)}
    terms = {"group": np.eye(6)[1:3] - np.eye(6)[0], "age": np.eye(6)[3:4]}
    return Coefficients(COLUMNS, {**unit, **levels, **sex}, terms, {"2": ("site[2]", "run[2]")})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("neuCLBP - HC", [0, 1, -1, 0, 0, 0]),
        ("neuCLBP-HC", [0, 1, -1, 0, 0, 0]),
        ("non-neuCLBP - neuCLBP", [1, -1, 0, 0, 0, 0]),
        ("`non-neuCLBP`-`group[neuCLBP]`", [1, -1, 0, 0, 0, 0]),
        ("0.5*neuCLBP + .5*non-neuCLBP - HC", [0.5, 0.5, -1, 0, 0, 0]),
        ("(neuCLBP + non-neuCLBP)/2 - HC", [0.5, 0.5, -1, 0, 0, 0]),
        ("-(HC - neuCLBP)*2", [0, 2, -2, 0, 0, 0]),
        ("1e1*2*age/4", [0, 0, 0, 5, 0, 0]),
        ("pain score", [0, 0, 0, 0, 1, 0]),
        ("M - F", [0, 0, 0, 0, 0, 1]),
        ("sex[F] - sex[M]", [0, 0, 0, 0, 0, -1]),
    ],
)
def test_weights_follow_the_expression(names: Coefficients, text: str, expected: list[float]) -> None:
    np.testing.assert_array_equal(parse_contrast(text, names).weights, [expected])


@pytest.mark.parametrize(
    ("text", "name", "label"),
    [
        ("neuCLBP - non-neuCLBP", "neuCLBP - non-neuCLBP", "neuCLBPMinusNonNeuCLBP"),
        ("0.5*neuCLBP + .5*HC", "0.5*neuCLBP + .5*HC", "0p5NeuCLBPPlus0p5HC"),
        ("-age", "-age", "minusAge"),
        ("age/2", "age/2", "ageOver2"),
        ("group[HC]", "group[HC]", "groupHC"),
        ("pain effect = pain score", "pain effect", "painEffect"),
        ("c1=age", "c1", "c1"),
    ],
)
def test_labels_are_letters_and_digits(names: Coefficients, text: str, name: str, label: str) -> None:
    contrast = parse_contrast(text, names)
    assert (contrast.name, contrast.label, contrast.kind) == (name, label, "t")


def test_a_level_with_an_equals_sign_is_no_label() -> None:
    names = Coefficients(("dose=5", "dose=6"), {"dose=5": np.eye(2)[0], "dose=6": np.eye(2)[1]})
    contrast = parse_contrast("dose=5 - dose=6", names)
    np.testing.assert_array_equal(contrast.weights, [[1, -1]])
    assert contrast.label == "dose5MinusDose6"


def test_letters_outside_ascii_are_written_plainly() -> None:
    assert parse_contrast("âge", Coefficients(("âge",), {"âge": np.ones(1)})).label == "age"


def test_1_is_the_intercept() -> None:
    names = Coefficients(("intercept",), {"intercept": np.ones(1)})
    np.testing.assert_array_equal(parse_contrast("1", names).weights, [[1]])
    np.testing.assert_array_equal(parse_contrast("mean = intercept", names).weights, [[1]])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "neuCLPB - HC",
            r"unknown name 'neuCLPB' \(contrast .*, character 1\) — did you mean 'neuCLBP'\? known: group",
        ),
        ("HC - XYZ", r"unknown name 'XYZ' .* character 6"),
        ("1", "unknown name 'intercept'"),
        ("group", "unknown name 'group' .* it is a term of several columns: test it with --f-test group"),
        ("<b> = HC", "'=' is not part of a contrast .* to name a contrast"),
        ("`2`", r"'2' could be site\[2\] or run\[2\]"),
        ("age - 1", "joins a plain number and a name"),
        ("1 + 1", "without a name"),
        ("age*HC", "multiplies names"),
        ("2/age", "divides by a name"),
        ("age/0", "zero"),
        ("age -", "the end stands where a name is expected"),
        ("", "the end stands"),
        ("age HC", "'HC' is not expected here"),
        ("(age", "where '\\)' is expected"),
        ("(" * 30 + "age" + ")" * 30, "stands where a name is expected"),
        ("age, HC", "',' is not part of a contrast"),
        ("`age", "'`' is not part of a contrast"),
        ("age" + "+age" * 1000, "more than 2000"),
        ("+".join(["age"] * 60), "longer than 100 letters"),
    ],
)
def test_what_is_wrong_is_said_with_a_remedy(names: Coefficients, text: str, said: str) -> None:
    with pytest.raises(NumericsError, match=said) as caught:
        parse_contrast(text, names)
    assert caught.value.remedy


def test_a_term_is_an_f_test(names: Coefficients) -> None:
    test = parse_f_test("group", names)
    np.testing.assert_array_equal(test.weights, names.terms["group"])
    assert (test.kind, test.label) == ("f", "group")


def test_an_f_test_joins_names_of_contrasts_terms_and_expressions(names: Coefficients) -> None:
    pain = parse_contrast("pain = neuCLBP - HC", names)
    test = parse_f_test("pain, non-neuCLBP - HC, age", names, [pain])
    np.testing.assert_array_equal(test.weights, [[0, 1, -1, 0, 0, 0], [1, 0, -1, 0, 0, 0], [0, 0, 0, 1, 0, 0]])
    assert test.label == "painAndNonNeuCLBPMinusHCAndAge"


def test_an_f_test_may_be_named(names: Coefficients) -> None:
    test = parse_f_test("any = group", names)
    assert (test.name, test.label) == ("any", "any")


def test_an_unknown_f_test_lists_the_terms(names: Coefficients) -> None:
    with pytest.raises(NumericsError, match="did you mean 'group'"):
        parse_f_test("groups", names)


def test_t_contrasts_come_before_f_tests(names: Coefficients) -> None:
    kinds = [contrast.kind for contrast in build_contrasts(["age", "M - F"], ["group"], names)]
    assert kinds == ["t", "t", "f"]


def test_labels_that_differ_in_case_only_are_refused(names: Coefficients) -> None:
    with pytest.raises(NumericsError, match="'Age' and 'age' would share files named 'age'"):
        build_contrasts(["Age = HC", "age"], [], names)
