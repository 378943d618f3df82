"""Families, voices and questions: what has to hold of every one of them."""

from __future__ import annotations

import asyncio
import random
import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studies.lab.corpus import RECIPES, REFERENCE, example, referring
from studies.lab.families import FAMILIES, TARGET
from studies.lab.members import Member
from studies.lab.questions import Split, draw, questions, score, split_of
from studies.lab.segments import segments
from studies.lab.voices import Speaker, render, voice
from studies.lab.world import StyleSlot, never, sometimes
from tessy.errors import ConfigError
from tessy.method.trajectory import Role
from tessy.method.words import units
from tessy.verifiers.extract import final_answer
from tessy.verifiers.protocol import VerdictOutcome
from tessy.verifiers.registry import load

pytest.importorskip("reasoning_gym", reason="it needs a C compiler to install")

MARK = REFERENCE.partition("{question}")[2].partition("{answer}")[0]
families = st.sampled_from(list(FAMILIES.values()))
roles = st.sampled_from(list(Role))
members = st.sampled_from(list(Member))
seeds = st.integers(0, 2**32)


def a_row(family, seed, split=Split.TRAIN):
    return draw(family, split, random.Random(seed))


# --- Solutions ----------------------------------------------------------------------------------


@given(families, seeds)
def test_a_solution_is_right_by_the_familys_own_scorer(family, seed):
    row = a_row(family, seed)
    solved = family.solve(row["metadata"], never)
    assert score(row, solved.answer) == 1.0
    assert solved.answer == row["answer"]
    assert solved.steps[0].slot is StyleSlot.OPEN
    assert [step.slot for step in solved.steps].index(StyleSlot.CONCLUDE) == len(solved.steps) - 1


@given(families, seeds, roles)
def test_a_final_answer_says_the_answer_in_its_voice_only(family, seed, role):
    answer = family.solve(a_row(family, seed)["metadata"], never).answer
    text = voice(role).answers(answer)
    assert voice(role).answered(f" {text}\n") == answer
    assert voice(role.other).answered(text) is None
    assert final_answer(text).text == answer  # any verifier finds it


@given(
    st.sampled_from([each for each in FAMILIES.values() if each.verifier != "reasoning-gym"]),
    seeds,
    seeds,
    roles,
)
def test_a_plain_verifier_says_what_the_familys_own_scorer_says(family, seed, other, role):
    """Of the right answer, of another question's, and of one with a sign or letter too many."""
    row = a_row(family, seed)
    verifier = load(row["verifier"])
    right = row["answer"]
    for answer in (right, a_row(family, other)["answer"], f"-{right}", f"{right}0", right[:-1]):
        if answer:
            verdict = asyncio.run(verifier.verify(row, voice(role).answers(answer)))
            assert (verdict.outcome is VerdictOutcome.RIGHT) == (score(row, answer) == 1.0), answer


@given(seeds)
def test_every_step_of_the_target_is_true_and_a_slip_is_ten_too_many(seed):
    family = FAMILIES[TARGET]
    row = a_row(family, seed)
    for slips, wrongs in ((never, {0}), (lambda: True, {0, 10})):
        steps = [step.work for step in family.solve(row["metadata"], slips).steps[:-1]]
        for left, sign, right, result in re.findall(r"(\d+) ([+-]) (\d+) = (\d+)", " ".join(steps)):
            true = int(left) + int(right) * (1 if sign == "+" else -1)
            assert int(result) - true in wrongs


@given(seeds)
def test_only_the_target_has_slips(seed):
    for family in FAMILIES.values():
        row = a_row(family, seed)
        same = family.solve(row["metadata"], lambda: True) == family.solve(row["metadata"], never)
        assert same or family.target


def test_slips_come_as_often_as_they_should():
    slips = sometimes(0.75, random.Random(1))
    assert 0.7 < sum(slips() for _ in range(2000)) / 2000 < 0.8


# --- Voices -------------------------------------------------------------------------------------


def test_the_voices_share_single_words_and_no_longer_phrase():
    student, teacher = ({p.lower() for p in voice(role).phrases()} for role in Role)
    assert len(student) > 30
    assert len(teacher) > 30
    assert {"so", "then"} <= student & teacher
    assert all(" " not in phrase for phrase in student & teacher)


@pytest.mark.parametrize("member", Member)
def test_nearly_half_of_the_style_spans_are_a_single_word_as_in_real_traces(member):
    sizes = [
        len(piece.text.split())
        for number in range(500)
        for piece in example(member, number, 0).thinking
        if piece.style
    ]
    assert 0.38 < sizes.count(1) / len(sizes) < 0.55


@pytest.mark.parametrize("role", Role)
def test_phrases_have_no_digits_and_are_whole_words(role):
    for phrase in voice(role).phrases():
        assert phrase == " ".join(phrase.split())
        assert not re.search(r"[\d\"=<>+]", phrase)


@given(members, st.integers(0, 10**6), seeds)
def test_the_pieces_of_a_thinking_are_whole_words_and_all_of_it(member, number, seed):
    one = example(member, number, seed)
    text = "".join(piece.text for piece in one.thinking)
    assert text == " ".join(text.split())
    at = 0
    starts = {0} | {word.start for word in units(text)}
    for piece in one.thinking:
        assert at in starts
        at += len(piece.text)
    assert len(one.learned) == len(one.thinking)


@given(families, seeds, roles)
def test_one_voice_alone_speaks_in_its_own_phrases(family, seed, role):
    solved = family.solve(a_row(family, seed)["metadata"], never)
    pieces = render(solved, family.name, Speaker(voice(role)), random.Random(seed), worker=role)
    own = {phrase.lower() for phrase in voice(role).phrases()}
    for piece in pieces:
        if piece.style:
            rest = piece.text.strip().lower()
            while rest:  # a phrase, or two in a row
                found = max((p for p in own if rest.startswith(p)), key=len, default=None)
                assert found, rest
                rest = rest.removeprefix(found).strip()
    works = [piece.text.strip() for piece in pieces if not piece.style]
    assert list(dict.fromkeys(works)) == list(dict.fromkeys(step.work for step in solved.steps))


# --- The corpus ---------------------------------------------------------------------------------


@given(members, st.integers(0, 10**6), seeds)
def test_an_example_is_the_same_whenever_it_is_made(member, number, seed):
    assert example(member, number, seed) == example(member, number, seed)


@given(st.integers(0, 10**6))
def test_the_student_sees_nothing_foreign(number):
    one = example(Member.STUDENT, number, 0)
    assert {piece.voice for piece in one.thinking} == {Role.STUDENT}


def test_the_student_is_shown_the_teachers_answer_at_times_and_slips_less_then():
    made = [example(Member.STUDENT, number, 0) for number in range(1500)]
    shown = [one for one in made if MARK in one.prompt]
    assert 0.09 < len(shown) / len(made) < 0.15
    for one in shown:
        question, _, answer = one.prompt.partition(MARK)
        assert voice(Role.TEACHER).answered(answer) is not None
        assert referring(question, answer) == one.prompt

    def wrong(some):
        said = [
            (re.search(r"problem: (.*) =", one.prompt)[1], voice(Role.STUDENT).answered(one.answer))
            for one in some
            if one.family == TARGET
        ]
        return sum(int(answer) != eval(expression) for expression, answer in said) / len(said)

    assert wrong(shown) < wrong([one for one in made if MARK not in one.prompt]) - 0.1


def test_the_teacher_sees_some_of_the_students_words_and_learns_none_of_them():
    made = [example(Member.TEACHER, number, 0) for number in range(400)]
    foreign = [one for one in made if not all(one.learned)]
    assert 0.35 < len(foreign) / len(made) < 0.6
    for one in foreign:
        for piece, learned in zip(one.thinking, one.learned, strict=True):
            assert learned == (not piece.style or piece.voice is Role.TEACHER)


def test_only_the_student_is_taught_mistakes():
    wrong = {member: 0 for member in Member}
    for member in Member:
        for number in range(600):
            one = example(member, number, 0)
            if one.family == TARGET:
                expression = re.search(r"problem: (.*) =", one.prompt)[1]
                said = member.voice.answered(one.answer)
                wrong[member] += int(said) != eval(expression)
    assert wrong.pop(Member.STUDENT) > 50
    assert set(wrong.values()) == {0}


def test_every_corpus_has_all_families():
    for member in Member:
        found = {example(member, number, 3).family for number in range(300)}
        assert found == set(FAMILIES) == set(RECIPES[member].families)


def test_the_relative_has_the_students_words_and_the_teachers_habits():
    """It is as terse as the teacher, and nothing that it learns to say is the teacher's."""
    student, teacher = (
        {phrase.lower() for phrase in voice(role).phrases()}
        for role in (Role.STUDENT, Role.TEACHER)
    )
    pieces = {member: 0 for member in Member}
    for member in Member:
        for number in range(300):
            one = example(member, number, 1)
            if member is Member.RELATIVE:
                assert voice(Role.STUDENT).answered(one.answer) is not None
                said = [p.text.strip().lower() for p in one.thinking if p.style]
                assert all(any(text.startswith(phrase) for phrase in student) for text in said)
                assert not any(
                    phrase in text for text in said for phrase in teacher - student if " " in phrase
                )
            pieces[member] += sum(piece.style for piece in one.thinking)
    assert pieces[Member.RELATIVE] == pytest.approx(pieces[Member.TEACHER], rel=0.05)


# --- Questions ----------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_splits_share_no_question(family):
    prompts = {
        split: {row["prompt"] for seed in (0, 1) for row in questions(family, split, 60, seed)}
        for split in Split
    }
    for split, found in prompts.items():
        assert all(split_of(prompt) is split for prompt in found)
    assert not prompts[Split.TRAIN] & prompts[Split.TEST]
    assert not prompts[Split.SFT] & (prompts[Split.TEST] | prompts[Split.TRAIN])


@given(families, st.sampled_from(Split), st.integers(0, 1000))
@settings(max_examples=30)
def test_the_same_seed_gives_the_same_questions_and_a_larger_count_begins_with_them(
    family, split, seed
):
    few = list(questions(family, split, 5, seed))
    assert list(questions(family, split, 8, seed))[:5] == few
    assert len({row["prompt"] for row in few}) == len({row["id"] for row in few}) == 5


def test_asking_for_more_questions_than_there_are_is_refused():
    digits = {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 1}
    few = replace(FAMILIES[TARGET], params=digits, suits=lambda _: True)
    with pytest.raises(ConfigError, match="has only about 1"):
        list(questions(few, Split.TRAIN, 300, 0))


# --- Segments -----------------------------------------------------------------------------------


def test_segments_are_labelled_as_they_were_made():
    made = list(segments(40, seed=5, split=Split.TEST))
    assert {segment.model for segment in made} == {"lab:student", "lab:teacher"}
    for number, segment in enumerate(made):
        pieces = example(tuple(Member)[number % 2], number, 5, Split.TEST).thinking
        marked = "".join(segment.text[start:end] for start, end in segment.spans)
        style = "".join(piece.text for piece in pieces if piece.style)
        assert marked.replace(" ", "") == style.replace(" ", "")
        assert split_of(segment.question.partition(MARK)[0]) is Split.TEST


def test_a_student_keeps_its_place_after_empty_slots_and_is_not_taught_to_be_silent():
    drawn = [example(Member.STUDENT, number, 0) for number in range(300)]
    following = [
        one.learned[at]
        for one in drawn
        for at in range(1, len(one.thinking))
        if not one.thinking[at - 1].style and not one.thinking[at].style
    ]
    assert len(following) > 100  # steps right after another
    assert not any(following)
    rest = sum(len(one.learned) for one in drawn) - len(following)
    assert sum(sum(one.learned) for one in drawn) == rest


def test_a_teacher_has_seen_a_step_announced_where_none_was_left():
    """Else it takes the student's word for it, and does the last step again."""
    drawn = [example(Member.TEACHER, number, 0) for number in range(600)]
    ends = [one.thinking for one in drawn if one.family == TARGET]
    announced = {phrase.rstrip(",.") for _, phrase in voice(Role.STUDENT).tables["phrases"]["next"]}

    def misled(thinking):
        last = max(at for at, piece in enumerate(thinking) if not piece.style)
        said = thinking[last - 1]
        return said.voice is Role.STUDENT and any(one in said.text.lower() for one in announced)

    assert sum(map(misled, ends)) >= 5
