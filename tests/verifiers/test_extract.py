"""What a response says as its answer, and the numbers in it."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tessy.verifiers import numerals
from tessy.verifiers.extract import AnswerForm, Found, bare, boxed, candidates, final_answer
from tessy.verifiers.numerals import same, whole
from texts import any_text, model_text

plain = st.text(st.characters(categories=["Ll", "Lu", "Nd"]), min_size=1, max_size=12)
markup = st.text("*_`$\\{}()[]<>#=-. \nanswerboxed:/", max_size=60)


def numbers(text):
    return list(numerals.numbers_in(numerals.plain(text)))


@given(st.one_of(any_text, model_text, markup))
def test_any_text_can_be_read(text):
    found = final_answer(text)
    assert found is None or found.text.strip()
    assert (found is None) == (candidates(text) == [])
    numbers(text)
    assert bare(bare(text)) == bare(text)


@given(model_text, plain)
def test_a_tag_wins_over_all_else(before, answer):
    text = f"{before} \\boxed{{no}} Answer: no\n<answer>{answer}</answer> and no"
    assert final_answer(text) == Found(answer, AnswerForm.TAG)
    assert candidates(text) == [answer]


@given(model_text, plain)
def test_a_box_wins_over_an_announcement(before, answer):
    text = f"{before}\nThe answer is no.\n\\boxed{{{answer}}} is right."
    assert final_answer(text) == Found(answer, AnswerForm.BOXED)


@given(model_text, plain, plain)
def test_the_last_of_several_counts(before, wrong, answer):
    for say in ("<answer>{}</answer>", "\\boxed{{{}}}", "**Answer:** {}", "The result is {}."):
        text = f"{before}\n{say.format(wrong)}\nNo, wait.\n{say.format(answer)}\n"
        found = final_answer(text)
        assert found is not None
        assert found.text == answer


@given(
    st.recursive(
        plain, lambda inner: st.lists(inner, max_size=3).map(lambda p: "{" + "".join(p) + "}")
    )
)
def test_braces_in_a_box_are_balanced(inside):
    assert boxed(f"so \\boxed{{x{inside}}} it is }}") == f"x{inside}"
    assert boxed(f"so \\boxed{{{{x{inside}}} it goes on") is None


@pytest.mark.parametrize(
    ("text", "answer", "form"),
    [
        ("**Answer:** x", "x", AnswerForm.ANNOUNCED),
        ("**Final Answer**: 12", "12", AnswerForm.ANNOUNCED),
        ("The result is x.", "x", AnswerForm.ANNOUNCED),
        ("So the answer is: $x^2$.", "x^2", AnswerForm.ANNOUNCED),
        ("the answer would be 5", "5", AnswerForm.ANNOUNCED),
        ("## Answer:\n\n42", "42", AnswerForm.ANNOUNCED),
        ("The answer is 5. Check it: 2 + 3.", "5", AnswerForm.ANNOUNCED),
        ("The answer is 3.5", "3.5", AnswerForm.ANNOUNCED),
        ("ANSWER: yes", "yes", AnswerForm.ANNOUNCED),
        ("We get\n\n**7**", "7", AnswerForm.LAST_LINE),
        ("`abc`\n\n---\n", "abc", AnswerForm.LAST_LINE),
        ("\\boxed{\\frac{1}{2}}", "\\frac{1}{2}", AnswerForm.BOXED),
        ("\\boxed{}\nAnswer: 3", "3", AnswerForm.ANNOUNCED),
        ("\\fbox{3}", "3", AnswerForm.BOXED),
        ("\\boxed {\\{1, 2\\}}", "\\{1, 2\\}", AnswerForm.BOXED),
        ("<ANSWER>\n a\nb </ANSWER>", "a\nb", AnswerForm.TAG),
        ("…", "…", AnswerForm.LAST_LINE),
    ],
)
def test_ways_to_say_it(text, answer, form):
    assert final_answer(text) == Found(answer, form)


@pytest.mark.parametrize("text", ["", " \n\t", "**", "$$", "---\n\n", "<answer></answer>"])
def test_nothing_is_no_answer(text):
    found = final_answer(text)
    assert found is None or found.form is AnswerForm.LAST_LINE


def test_an_answer_of_many_lines_is_read_whole():
    grid = "1 2\n3 4"
    assert grid in candidates(f"Here it is.\n\n**Answer:**\n{grid}")
    assert grid in candidates(f"As asked:\n\n```\n{grid}\n```\nDone.")
    assert candidates(grid)[-1] == grid


# --- Numbers ------------------------------------------------------------------------------------


@given(st.integers())
def test_a_whole_number_is_read_as_it_is_written(value):
    for text in (f"{value}", f"{value:,}", f"{value:_}", f"${value}$", f"is {value}."):
        assert [number.value for number in numbers(text)] == [value], text


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-1e9, max_value=1e9))
def test_a_decimal_is_exact(value):
    assert whole(f"{value:f}").value == Fraction(value)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_float_is_read_back(value):
    assert float(whole(repr(value)).value) == value


@given(st.integers(), st.integers(min_value=1))
def test_fractions(top, bottom):
    value = Fraction(top, bottom)
    for text in (
        f"{top}/{bottom}",
        f"\\frac{{{top}}}{{{bottom}}}",
        f"\\dfrac{{{top}}}{{{bottom}}}",
    ):
        assert whole(text).value == value


@given(st.integers(-(10**6), 10**6), st.integers(-300, 300))
def test_powers_of_ten(digits, power):
    value = digits * Fraction(10) ** power
    for text in (f"{digits}e{power}", f"{digits} \\times 10^{{{power}}}", f"{digits}×10^{power}"):
        assert whole(text).value == value


@example("9" * 5000)
@example("1e999999999999")
@example("10^999999999")
@given(st.text("0123456789.,eE^+-*/ \\frac{}%$×", max_size=60))
def test_no_text_takes_long_or_raises(text):
    for number in numbers(text):
        assert number.value.denominator < 10**9000


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("It costs $1,200.50 in total", ["1200.5"]),
        ("5 - 3 = 2", ["5", "3", "2"]),
        ("5 − 3", ["5", "3"]),
        ("x = −4", ["-4"]),
        ("(-4)", ["-4"]),
        ("1,2,3", ["1", "2", "3"]),
        ("1{,}234 and 1\\,234", ["1234", "1234"]),
        ("1\u202f234\u202f567", ["1234567"]),
        ("2 1/2 cups", ["5/2"]),
        ("12.5%", ["12.5"]),
        ("a1 b2", []),
        ("no number", []),
        ("1/0", []),
        (".5", ["1/2"]),
        ("3.", ["3"]),
        ("\\frac34", ["3/4"]),
        ("10^6", ["1000000"]),
    ],
)
def test_numbers_in_text(text, values):
    assert [number.value for number in numbers(text)] == [Fraction(value) for value in values]


@given(st.integers(-(10**30), 10**30), st.integers(-(10**30), 10**30))
def test_whole_numbers_are_the_same_only_if_equal(one, other):
    assert same(whole(str(one)), whole(str(other))) == (one == other)


def test_tolerance_and_percent():
    assert same(whole("0.3333333333"), whole("1/3"))
    assert not same(whole("0.3333"), whole("1/3"))
    assert same(whole("0.3333"), whole("1/3"), 1e-3)
    assert same(whole("50%"), whole("50"))
    assert same(whole("0.5"), whole("50%"))
    assert not same(whole("5"), whole("50%"))
    assert not same(whole("0.0000001"), whole("0"))
