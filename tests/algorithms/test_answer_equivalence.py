from __future__ import annotations

import threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algorithms.answer_equivalence import equivalent, final_answer
from algorithms.symbolic_equality import same_expression


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("1,000", "1000"),
        ("18.00", "18"),
        ("$5.00", "5"),
        ("$18$", "18"),
        ("18 dollars", "$18"),
        ("5 kg", "5"),
        ("18 eggs", "18 duck eggs"),
        ("5 hours", "5 h"),
        ("50 cents", "$0.50"),
        ("1.8 billion", "1800000000"),
        ("3 × 10^4", "30000"),
        ("1/2", "0.5"),
        (r"\frac{1}{2}", "0.5"),
        ("1½", "1.5"),
        ("1 1/2", "1.5"),
        ("0.333", "1/3"),
        ("50%", "0.5"),
        ("50%", "50"),
        ("42\\%", "42 percent"),
        ("1.234,50", "1,234.5"),
        ("-5", "−5"),
        ("seven eggs", "7"),
        ("twenty-one", "21"),
        ("x = 5", "5"),
        (r"\boxed{\text{42 apples}}", "42"),
        ("25 m²", "25"),
        (r"90^\circ", "90 degrees"),
        ("the Queen", "queen."),
        ("20 June 1887", "June 20, 1887"),
    ],
)
def test_answers_that_say_the_same_are_equivalent(a: str, b: str) -> None:
    assert equivalent(a, b)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("18", "19"),
        ("0.125", "125"),
        ("1.234", "1234"),
        ("50", "0.5"),
        ("0.33", "1/3"),
        ("5", "-5"),
        ("5 km", "5 miles"),
        ("5 km per hour", "5 miles per hour"),
        ("50%", "50 km"),
        ("5x", "5"),
        ("3:5", "3.5"),
        ("x - 1", "x + 1"),
        ("10+John's age", "10-John's age"),
        ("x = 5", "y = 5"),
        ("yes", "no"),
        ("A", "B"),
        ("", "5"),
        ("the queen", "the queens"),
        ("20 June 1887", "21 June 1887"),
        ("listen", "silent"),
    ],
)
def test_answers_that_differ_are_not_equivalent(a: str, b: str) -> None:
    assert not equivalent(a, b)
    assert not equivalent(b, a)


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ("x+1", "1+x", True),
        ("(x+1)^2", "x^2+2x+1", True),
        ("x**12", "x^12", True),
        ("2sqrt(2)", r"\sqrt{8}", True),
        ("sin(x)^2+cos(x)^2", "1", True),
        ("2*pi", r"2\pi", True),
        ("x > 3", "3 < x", True),
        ("{1,2}", "{2,1}", True),
        ("x+1", "x+2", False),
        ("1/0", "2/0", False),
        ("9^9^9^9^9", "3", False),
    ],
)
def test_expressions_are_compared_as_mathematics(a: str, b: str, same: bool) -> None:
    assert equivalent(a, b) is same


def test_expressions_are_compared_off_the_main_thread() -> None:
    found: list[bool] = []
    threads = [threading.Thread(target=lambda n=n: found.append(same_expression(f"y+{n}", f"{n}+y"))) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 4


def every_second_is_right(letter: str) -> bool:
    return [same_expression(f"{letter}+{n}", f"{n - n % 2}+{letter}") for n in range(40)] == [True, False] * 20


def test_expressions_are_compared_in_a_forked_child_while_its_parent_compares_others() -> None:
    assert same_expression("u+1", "1+u")
    with ProcessPoolExecutor(1, mp_context=get_context("fork")) as child:
        of_child = child.submit(every_second_is_right, "v")
        assert every_second_is_right("w")
        assert of_child.result()


@pytest.mark.slow
def test_expression_that_would_take_for_ever_is_given_up_and_the_next_is_compared() -> None:
    assert not same_expression("10^{10^{10}}", "1")
    assert same_expression("z+1", "1+z")


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("She has 16 - 3 = <<16-3=13>>13 eggs.\n#### 13", "13"),
        ("#### 1,200\n", "1,200"),
        ("so 2 + 2 = 4\nA: 18", "18"),
        ("The answer is 5.5 kg. Thanks", "5.5 kg"),
        ("The answer is: x = 3\nBecause of 4.", "x = 3"),
        (r"so \boxed{\frac{1}{2}} and 3", r"\frac{1}{2}"),
        ("**Answer:** 12.", "12"),
        ("Answer: 5\nAnswer: 6", "6"),
        ("Die Antwort lautet 1.500 Euro.", "1.500 Euro"),
        ("It is 3 + 4 = $7.", "$7"),
        ("it costs 1,000.", "1,000"),
        ("half, 50%.", "50%"),
        ("from 10 to -4", "-4"),
        ("No idea.", None),
        ("", None),
    ],
)
def test_final_answer_of_a_solution_is_the_last_one_marked_or_the_last_number(text: str, answer: str | None) -> None:
    assert final_answer(text) == answer


ANSWERS = st.one_of(
    st.text(max_size=12),
    st.text(alphabet="0123456789.,/%$ -½x", max_size=8),
    st.sampled_from(["1/2", "0.5", "50%", "50", "$0.50", "50 cents", "half", "five kg", "5 kg", "5", "x = 5", "-5"]),
)


@given(ANSWERS, ANSWERS)
def test_equivalent_is_symmetric_and_reflexive_and_never_raises(a: str, b: str) -> None:
    assert equivalent(a, a)
    assert equivalent(a, b) is equivalent(b, a)
    final_answer(a)


@given(st.integers(-(10**9), 10**9), st.integers(-(10**9), 10**9))
def test_integers_are_equivalent_only_if_equal_however_written(a: int, b: int) -> None:
    assert equivalent(f"{a:,}", f"{a}.00 eggs")
    assert equivalent(f"{a:,}", str(b)) is (a == b)
