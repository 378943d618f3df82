"""Reading a span while it is written: what is judged, and when it is enough."""

from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from simulation import EagerPredictor, WordPredictor
from tessy.method.judgement import Judgement
from tessy.errors import PredictorError
from tessy.method.reading import Reading
from tessy.method.trajectory import Role, Trajectory
from tessy.method.words import complete, units
from tessy.synthesis.cooperation import SpanReader
from texts import model_text

pieces = st.lists(st.text(st.sampled_from("ab1 W\n，é"), min_size=1, max_size=5), max_size=20)


def views(reading, cut):
    """The views of a text that comes in pieces, none of which has a boundary."""
    shown = []
    for piece in cut:
        for end in reading.grow(piece):
            view = reading.view(end)
            shown.append((view.text, view.judged))
            reading.take(Judgement(None, view.judged))
    return shown


@given(pieces, model_text)
def test_replay_what_is_shown_does_not_depend_on_how_the_text_comes(cut, pending):
    whole = "".join(cut)
    assume(whole)
    at_once = views(Reading(Trajectory(pending=pending)), [whole])
    in_pieces = views(Reading(Trajectory(pending=pending)), cut)
    by_character = views(Reading(Trajectory(pending=pending)), whole)
    assert at_once == in_pieces == by_character


@given(pieces)
def test_each_word_is_shown_once_when_it_is_complete(cut):
    text = "".join(cut)
    shown = [view for view, _ in views(Reading(Trajectory()), cut)]
    words = complete(text, units(text), final=False)
    assert [view[:-1] for view in shown] == [
        text[: word.word_end] for word in words if word.word_start < word.word_end
    ]


class Slow:
    """Judges some time later, in any order of events."""

    def __init__(self, predictor, seed):
        self.predictor = predictor
        self.chance = random.Random(seed)

    def ask(self, passage, tell):
        judgement = self.predictor.judge([passage])[0]
        delay = self.chance.randrange(3)

        def later(left):
            if left:
                asyncio.get_running_loop().call_soon(later, left - 1)
            else:
                tell(judgement)

        later(delay)


async def read(ask, cut, eager):
    """The event that was enough, and the reading."""
    reader, enough = SpanReader(Reading(Trajectory(role=Role.TEACHER), eager=eager), ask), []
    reader.begin(lambda event, error: enough.append((event, error)))
    for event, piece in enumerate(cut, 1):
        reader.read(piece, event)
        await asyncio.sleep(0)
    await reader.finish()
    return enough, reader.reading.boundary


@settings(deadline=None)
@given(pieces, st.booleans(), st.integers(0, 99))
def test_replay_a_slow_predictor_decides_what_a_quick_one_decides(cut, eager, seed):
    def predictor():
        return EagerPredictor() if eager else WordPredictor(lambda _, word: word[0].isdigit())

    def quick(passage, tell):
        tell(predictor().judge([passage])[0])

    async def both():
        return (
            await read(quick, cut, eager),
            await read(Slow(predictor(), seed).ask, cut, eager),
        )

    first, second = asyncio.run(both())
    assert first == second
    assert len(first[0]) <= 1


async def test_a_predictor_that_fails_ends_the_reading_once():
    error = PredictorError("no")
    enough, boundary = await read(lambda _, tell: tell(error), ["a ", "b ", "c "], eager=False)
    assert enough == [(1, error)]
    assert boundary is None


@pytest.mark.parametrize("eager", [False, True])
def test_progress_a_word_that_is_needed_is_waited_for(eager):
    """The first word has to be kept, so a boundary at it is not certain before it is complete."""
    reading = Reading(Trajectory(idle=1), eager=eager)
    for piece, certain in (("1", False), ("2", False), (" ", True)):
        for end in reading.grow(piece):
            reading.view(end)
            reading.take(Judgement(0, 0, final=True))
        assert (reading.boundary is not None) is certain
