"""Scripts and `DigitPredictor` together, under Algorithm 1's rules, give the plan back."""

from __future__ import annotations

from itertools import islice

import pytest

from tessy.method.judgement import Passage
from tessy.method.trajectory import Outcome, Part, Role, Trajectory
from tessy.method.turns import Chunk, Finish, settle, written
from tessy.testing import CooperativeScript
from tessy.testing.predictors import agreeable, contrary, digits, writer_of
from tessy.testing.tokens import PieceTokenizer

OPENED = {
    Role.STUDENT: "<|im_start|>user\nWhat is 6*7?<|im_end|>\n<|im_start|>assistant\n<think>\n",
    Role.TEACHER: (
        "<|start|>user<|message|>What is 6*7?<|end|>"
        "<|start|>assistant<|channel|>analysis<|message|>"
    ),
}
CLOSES = {Role.STUDENT: "\n</think>", Role.TEACHER: "<|end|>"}


def think(scripts, predictor, tokens):
    """The thinking, made with chunks of so many tokens."""
    codec, trajectory = PieceTokenizer(), Trajectory()
    while trajectory.part is Part.THINKING:
        role = trajectory.role
        prompt = OPENED[role] + trajectory.thinking + trajectory.pending
        pieces = (t for p in scripts[role].continue_(prompt) for t in codec.tokens(p.encode()))
        drawn = list(islice(pieces, tokens))
        text = b"".join(token.data for token in drawn).decode()
        text, closed, _ = text.partition(CLOSES[role])
        # As a client does with a stop text that is only half there: ask for more.
        while not closed and any(text.endswith(CLOSES[role][:n]) for n in range(2, 10)):
            drawn.append(next(pieces))
            text += drawn[-1].data.decode()
            text, closed, _ = text.partition(CLOSES[role])
        finish = Finish.ENDED if closed else Finish.LENGTH
        chunk = Chunk(text, finish, len(drawn))
        text = written(trajectory, chunk)
        passage = Passage(role, trajectory.thinking, text, final=bool(closed))
        (judgement,) = predictor.judge([passage])
        trajectory.apply(settle(trajectory, chunk, judgement))
    return trajectory


@pytest.mark.parametrize("unicode", [False, True])
@pytest.mark.parametrize("tokens", [1, 3, 20, 500])
def test_they_write_the_plan_each_its_own_kind(unicode, tokens):
    scripts = {
        role: CooperativeScript(role.value, thinking_words=120, unicode=unicode) for role in Role
    }
    trajectory = think(scripts, digits(), tokens)
    assert trajectory.ended is Outcome.CLOSED
    plan = scripts[Role.STUDENT].plan("What is 6*7?")
    words = trajectory.thinking.split()
    assert [writer_of(word) is Role.STUDENT for word in words] == [slot.style for slot in plan]
    for span in trajectory.spans[Part.THINKING]:
        text = trajectory.thinking[span.start : span.end]
        assert not span.forced
        assert {writer_of(word) for word in text.split()} <= {span.role, None}
    assert trajectory.thinking == think(scripts, digits(), 7).thinking


def test_a_contrary_predictor_forces_every_word():
    scripts = {role: CooperativeScript(role.value, thinking_words=12) for role in Role}
    trajectory = think(scripts, contrary(), 20)
    assert all(span.forced for span in trajectory.spans[Part.THINKING][:-1])
    assert len(trajectory.thinking.split()) == 12


def test_an_agreeable_predictor_leaves_all_to_the_student():
    scripts = {role: CooperativeScript(role.value, thinking_words=12) for role in Role}
    trajectory = think(scripts, agreeable(), 20)
    assert {span.role for span in trajectory.spans[Part.THINKING]} == {Role.STUDENT}
