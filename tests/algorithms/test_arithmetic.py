from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algorithms.arithmetic import derived_numbers, equations


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("He sold 48 / 2 = $<<48/2=24>>24 clips.", [("48/2", "24", True)]),
        ("3 + 4 = 8", [("3 + 4", "8", False)]),
        ("10 2-legged animals have 10*2=20 legs", [("10*2", "20", True)]),
        ("12 = 3 * 4", [("12", "3 * 4", True)]),
        ("on day 12 = 3 * 5", []),
        ("3 + 4 = 7 * 2 = 14", [("3 + 4", "7 * 2", False), ("7 * 2", "14", True)]),
        ("5 + 3 = 8 and 2 + 2 = 5", [("5 + 3", "8", True), ("2 + 2", "5", False)]),
        ("1. 5 + 3 = 8", [("5 + 3", "8", True)]),
        ("- 5 + 3 = 8", [("5 + 3", "8", True)]),
        ("-5 + 3 = -2", [("-5 + 3", "-2", True)]),
        ("24 - 3 = 21 - so there are 21.", [("24 - 3", "21", True)]),
        ("(5 + 3) * 2 = 16", [("(5 + 3) * 2", "16", True)]),
        ("2(3+4) = 14", [("2(3+4)", "14", True)]),
        ("3² + 4² = 25", [("3² + 4²", "25", True)]),
        ("2^3 = 8 and 2**3 = 9", [("2^3", "8", True), ("2^3", "9", False)]),
        ("5 / 0 = 0", [("5 / 0", "0", False)]),
        ("2 / 1/4 = 8", [("2 / 1/4", "8", True)]),
        ("1 1/2 + ½ = 2", [("1 1/2 + ½", "2", True)]),
        ("5 + 3 = **8**", [("5 + 3", "8", True)]),
        (r"\frac{1}{2} \times 10 = 5", [("((1)/(2)) * 10", "5", True)]),
    ],
)
def test_equations_of_a_line_are_evaluated_again(text: str, found: list[tuple[str, str, bool]]) -> None:
    assert [(e.left, e.right, e.holds) for e in equations(text)] == found


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("2100 coupons * $0.05/coupon = $105.0", True),
        ("30 fire type + 20 grass type + 40 water type = 91 cards", False),
        ("3 boxes x 5 = 15", True),
        ("3x5=16", False),
        ("$2,000 + $500 = $2,500", True),
        ("1.234,50 € + 1 € = 1.235,50 €", True),
        ("1.000 Euro + 500 Euro = 1.500 Euro", True),
        ("1.000 Euro + 500 Euro = 1.600 Euro", False),
        ("1600*.01=16.0", True),
        ("100% - 40% = 60%", True),
        ("20% of 50 = 10", True),
        ("20% of 50 = 20", False),
        ("12/48 * 100 = 25%", True),
        ("4 * 25 cents = $1", True),
        ("half of 48 is 24", True),
        ("half of 48 is 23", False),
        ("7 mal 3 ergibt 21", True),
        ("10 / 3 = 3.33", True),
        ("2 / 3 = 0.66", True),
        ("2 / 3 = 0.67", True),
        ("2 / 3 = 0.68", False),
        ("40 / 3 = 13", False),
        ("40 / 3 ≈ 13", True),
        ("40 / 3 ≈ 15", False),
        ("40 / 3 = 13 (rounded)", True),
        ("0.1 * 3 = 0.30000000000000004", True),
    ],
)
def test_equation_with_units_percent_and_rounding_holds_as_a_reader_takes_it(text: str, holds: bool) -> None:
    assert [e.holds for e in equations(text)] == [holds]


@pytest.mark.parametrize(
    "text",
    [
        "2x + 3 = 7",
        "x + 3 = 7",
        "price - 5 = 10",
        "s + l = 120",
        "100 = 5 * x",
        "f(2) + 1 = 5",
        "x_1 = 5 + 3",
        "sqrt(16) + 1 = 5",
        "(5-1:00 PM) = 4",
        "3:4 = 6 / 2",
        "x = 5",
        "5 = 5",
        "f (0) = 2",
        "(3.1 inches) = 1.7",
        "a == 3 + 4",
        "3 + 4 >= 6",
        "9^9^9 = 3",
        "the 3-5 range is 2",
        "There is no equation here.",
    ],
)
def test_equations_without_a_value_on_both_sides_are_none(text: str) -> None:
    assert equations(text) == []


@pytest.mark.parametrize(
    ("text", "known", "derived"),
    [
        ("48 / 2 = 24. 48 + 24 = 72.", ["48", "2"], {"24", "72"}),
        ("48 + 24 = 72. 48 / 2 = 24.", ["48", "2"], {"24"}),
        ("48 / 2 = 25", ["48", "2"], set()),
        ("48 / 2 = 24", ["48", "half"], {"2", "24"}),
        ("48 * 0.5 = 24", ["48", "half"], {"0.5", "24"}),
        ("0.2 * 48 = 9.6", ["48", "20%"], {"0.2", "9.6"}),
        ("36 / 3 = 12", ["36", "thirds"], {"3", "12"}),
        ("3 * 36 / 4 = 27", ["36", "three-quarters"], {"3", "4", "27"}),
        ("48 / 2 = 24", ["48"], set()),
        ("3 * 60 = 180", ["three"], {"3", "60", "180"}),
        ("3 + 60 = 63", ["3"], set()),
        ("48 + 1 = 49", ["48", "a", "each"], set()),
        ("100% - 40% = 60%", ["40%"], {"100", "60"}),
        ("10 = 2 * 5", ["2", "5"], {"10"}),
        ("$1,200 + $300 = $1,500", ["1200", "300"], {"1500", "1.5"}),
        ("Half of 48 is 24", ["48"], {"24"}),
    ],
)
def test_derived_numbers_follow_from_known_ones_by_equations_that_hold(
    text: str, known: list[str], derived: set[str]
) -> None:
    assert derived_numbers(text, known) == derived


@given(st.lists(st.tuples(st.sampled_from("+-*/"), st.integers(1, 999)), min_size=1, max_size=5), st.integers(1, 999))
def test_equation_of_random_numbers_holds_only_with_its_value(steps: list[tuple[str, int]], first: int) -> None:
    written = f"{first} " + " ".join(f"{op} {n}" for op, n in steps)
    value = eval(re_fractions(written), {"Fraction": Fraction})
    right = f"{value.numerator}/{value.denominator}" if value.denominator > 1 else str(value)
    wrong = f"{value.numerator + value.denominator}/{value.denominator}" if value.denominator > 1 else str(value + 1)
    assert [e.holds for e in equations(f"{written} = {right}")] == [True]
    assert [e.holds for e in equations(f"{written} = {wrong}")] == [False]


def re_fractions(written: str) -> str:
    """`written` as Python that is exact."""
    return " ".join(f"Fraction({w})" if w.isdigit() else w for w in written.split())


@given(st.text(alphabet="0123456789 +-*/^=x().,%$½²<>abn\n{}\\≈:", max_size=60))
def test_equations_of_any_text_are_found_without_error(text: str) -> None:
    for equation in equations(text):
        assert equation.text == f"{equation.left} = {equation.right}"
    assert derived_numbers(text, ["1", "x", "1.2.3.4", "½"]) == derived_numbers(text, ["½", "1.2.3.4", "x", "1"])
