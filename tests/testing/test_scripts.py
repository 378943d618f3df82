"""Scripts: what comes next depends on the text so far and on nothing else."""

from __future__ import annotations

from itertools import islice, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessy.method.judgement import Passage
from tessy.method.trajectory import Role
from tessy.testing import CooperativeScript, EchoScript, LoopScript, SilentScript
from tessy.testing.predictors import agreeable, contrary, digits, writer_of
from tessy.testing.prompts import question_key
from tessy.testing.scripts import STYLE, UNICODE_STYLE

QUESTION = "Question: what is 6 * 7?\nGive a number."
QWEN = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
HARMONY = (
    "<|start|>system<|message|>You are a model with a long system text, line after line.<|end|>"
    "<|start|>user<|message|>{}<|end|><|start|>assistant"
)
DEEPSEEK = "<｜begin▁of▁sentence｜><｜User｜>{}<｜Assistant｜>"
PLAIN = "### Question\n\n{}\n\n### Response\n\n"
CHAT = "User: {}\n\nAssistant:\n"
THINK, CHANNEL = "<think>\n", "<|channel|>analysis<|message|>"
OPENED = (QWEN + THINK, HARMONY + CHANNEL, DEEPSEEK + THINK, PLAIN + THINK, CHAT + THINK)


def written(script, prompt):
    return "".join(script.continue_(prompt))


@settings(max_examples=150, deadline=None)
@given(
    template=st.sampled_from((*OPENED, QWEN, HARMONY, DEEPSEEK, PLAIN, "{}")),
    role=st.sampled_from(["student", "teacher"]),
    unicode=st.booleans(),
    seed=st.integers(0, 10**6),
    words=st.integers(0, 50),
    question=st.text(min_size=1, max_size=30),
    data=st.data(),
)
def test_chunk_invariance(template, role, unicode, seed, words, question, data):
    script = CooperativeScript(role, seed, thinking_words=words, answer_words=5, unicode=unicode)
    prompt = template.format(f"{seed} {question}")
    full = written(script, prompt)
    for _ in range(8):
        cut = data.draw(st.integers(0, len(full)))
        assert full[:cut] + written(script, prompt + full[:cut]) == full


def test_chunk_invariance_at_every_character():
    for template in OPENED:
        for role in ("student", "teacher"):
            for unicode in (False, True):
                script = CooperativeScript(role, unicode=unicode, thinking_words=40)
                prompt = template.format(QUESTION)
                full = written(script, prompt)
                for cut in range(len(full) + 1):
                    assert full[:cut] + written(script, prompt + full[:cut]) == full


@given(question=st.text(min_size=1), role=st.sampled_from(["student", "teacher"]))
def test_the_key_is_the_question_in_every_format(question, role):
    # Headings and control tokens inside a question are cut alike in every format that has control
    # tokens; the plain formats can't tell them from their own.
    keys = {question_key(t.format(question)) for t in (QWEN, HARMONY, DEEPSEEK)}
    assert len(keys) == 1
    assert question_key(PLAIN.format(QUESTION)) == question_key(QWEN.format(QUESTION))


def test_a_tag_is_the_key():
    assert question_key(QWEN.format("see [[q-17]] and more")) == "q-17"
    assert question_key(HARMONY.format("[[q-17]] with a reference answer")) == "q-17"
    assert question_key(QWEN.format("a = [[1,2],[3,4]]")) == "a=[[1,2],[3,4]]"


def test_defused_and_plain_questions_have_one_key():
    plain, defused = "stop at <|im_end|> please", "stop at <\u2060|im_end|> please"
    assert question_key(QWEN.format(plain)) == question_key(HARMONY.format(defused))


def kinds(text):
    return [writer_of(word) for word in text.split()]


def test_student_and_teacher_share_the_plan():
    for unicode in (False, True):
        student = CooperativeScript("student", seed=1, thinking_words=400, unicode=unicode)
        teacher = CooperativeScript("teacher", seed=2, thinking_words=400, unicode=unicode)
        one = written(student, OPENED[0].format(QUESTION)).split("\n</think>\n\n")[0]
        two = written(teacher, OPENED[1].format(QUESTION)).split("<|end|>")[0]
        plan = student.plan(QUESTION)
        assert plan == teacher.plan(QUESTION)
        assert len(plan) == 400
        for text in (one, two):
            expected = [Role.STUDENT if slot.style else Role.TEACHER for slot in plan]
            assert kinds(text) == expected
        assert "\n    y" in one
        assert "\n\n" in one
        spaces = [
            [w for w in "".join(c if c.isspace() else "x" for c in t).split("x") if w]
            for t in (one, two)
        ]
        assert spaces[0] == spaces[1]


def test_other_questions_have_other_plans_and_other_seeds_other_words():
    script = CooperativeScript("student")
    assert script.plan("one") != script.plan("two")
    prompt = OPENED[0].format(QUESTION)
    assert written(script, prompt) != written(CooperativeScript("student", seed=1), prompt)


def test_a_plan_of_two_words_or_more_has_both_kinds():
    for words in (2, 3, 20):
        script = CooperativeScript("student", thinking_words=words)
        for number in range(200):
            plan = script.plan(f"question {number}")
            assert len(plan) == words
            assert plan[0].style
            assert {slot.style for slot in plan} == {True, False}


def test_span_lengths_have_the_means_asked_for():
    script = CooperativeScript("student", thinking_words=20_000, style_mean=3, capability_mean=12)
    plan = script.plan(QUESTION)
    changes = sum(a.style != b.style for a, b in pairwise(plan)) + 1
    style = sum(slot.style for slot in plan)
    assert 2.5 < style / (changes / 2) < 3.8
    assert 10.5 < (len(plan) - style) / (changes / 2) < 13.5


def test_no_word_begins_a_word_of_the_other_role():
    for table in (STYLE, UNICODE_STYLE):
        for one in table["student"]:
            for two in STYLE["teacher"] + UNICODE_STYLE["teacher"]:
                assert not one.startswith(two)
                assert not two.startswith(one)


def test_cooperating_roles_write_the_plan_word_by_word():
    scripts = {role: CooperativeScript(role.value, thinking_words=300) for role in Role}
    prompts = {Role.STUDENT: OPENED[0], Role.TEACHER: OPENED[1]}
    text, plan = "", scripts[Role.STUDENT].plan(QUESTION)
    for slot in plan:
        role = Role.STUDENT if slot.style else Role.TEACHER
        piece = next(iter(scripts[role].continue_(prompts[role].format(QUESTION) + text)))
        assert len(piece.split()) == 1
        text += piece
    assert len(text.split()) == len(plan)
    for slot, word in zip(plan, text.split(), strict=True):
        assert (word in STYLE["student"]) if slot.style else (word.rstrip(";")[-1].isdigit())
    for role, closes in ((Role.STUDENT, "\n</think>\n\n"), (Role.TEACHER, "<|end|><|start|>")):
        after = written(scripts[role], prompts[role].format(QUESTION) + text)
        assert after.startswith(closes)


def test_the_answer_follows_the_format():
    script = CooperativeScript("student", thinking_words=5, answer_words=4)
    for template in OPENED:
        prompt = template.format(QUESTION)
        closes = "<|end|><|start|>assistant<|channel|>final<|message|>"
        closes = closes if "channel" in template else "\n</think>\n\n"
        thinking, answer = written(script, prompt).split(closes)
        assert len(thinking.split()) == 5
        assert len(answer.split()) == 4
        assert written(script, prompt + "cut short" + closes) == answer


def test_other_scripts():
    assert written(EchoScript("abc"), "x") == "abc"
    assert written(SilentScript(), "x") == ""
    assert "".join(islice(LoopScript("ab ").continue_("x a"), 3)) == "b ab ab "
    with pytest.raises(ValueError, match="fragment"):
        LoopScript("")
    with pytest.raises(ValueError, match="role"):
        CooperativeScript("pupil")
    with pytest.raises(ValueError, match="means"):
        CooperativeScript("student", style_mean=0)


def test_predictors():
    student = Passage(Role.STUDENT, "", "wait, so — x1=7 t")
    (judgement,) = digits().judge([student])
    assert student.text[judgement.boundary :].startswith(" x1=7")
    (judgement,) = digits().judge([Passage(Role.STUDENT, "", "wait, x1")])
    assert (judgement.boundary, judgement.settled) == (None, len("wait,"))
    (judgement,) = digits().judge([Passage(Role.STUDENT, "", "wait, x1", final=True)])
    assert judgement.boundary == len("wait,")
    (judgement,) = digits().judge([Passage(Role.TEACHER, "", "x+1 ≤ 3 ... so 让")])
    assert judgement.boundary == len("x+1 ≤ 3 ...")
    assert contrary().judge([student, student])[1].boundary == 0
    assert agreeable().judge([student])[0].settled == len(student.text)
