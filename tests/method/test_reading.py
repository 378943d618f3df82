"""Reading a span while it is written: what is judged, and when reading stops."""

from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from simulation import FirstCharacterPredictor, SimulatedStream, WordPredictor
from tessy.errors import PredictorError
from tessy.method.judgement import Judgement
from tessy.method.reading import Reading
from tessy.method.trajectory import Role, Trajectory
from tessy.method.words import complete, units
from tessy.models.wire import Completion
from tessy.synthesis import cooperation
from texts import model_text

pieces = st.lists(st.text(st.sampled_from("ab1 W\n，é"), min_size=1, max_size=5), max_size=20)


def views(reading, cut):
    """The views of a text that arrives in pieces and has no boundary."""
    shown = []
    for piece in cut:
        for end in reading.add(piece):
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


class Judging:
    """Judges right away, or after a delay."""

    def __init__(self, predictor, seed=None):
        self.predictor = predictor
        self.chance = random.Random(seed) if seed is not None else None
        self.views = []

    async def judge(self, passage):
        self.views.append(passage)
        for _ in range(self.chance.randrange(3) if self.chance else 0):
            await asyncio.sleep(0)
        return self.predictor.judge([passage])[0]


def read(judging, cut, partial_words):
    """The text that was read, the boundary, and the views that were judged."""
    stream = SimulatedStream(Completion("".join(cut), "length", 0), [len(c) for c in cut] or [1])
    reading = Reading(Trajectory(role=Role.TEACHER), partial_words=partial_words)
    asyncio.run(cooperation.read(stream, reading, judging))
    return stream.completion().text, reading.boundary, getattr(judging, "views", [])


@settings(deadline=None)
@given(pieces, st.booleans(), st.integers(0, 99))
def test_replay_a_slow_predictor_decides_what_a_quick_one_decides(cut, partial_words, seed):
    def predictor():
        if partial_words:
            return FirstCharacterPredictor()
        return WordPredictor(lambda _, word: word[0].isdigit())

    quick = read(Judging(predictor()), cut, partial_words)
    assert quick == read(Judging(predictor(), seed), cut, partial_words)


def test_a_stream_is_left_at_the_event_that_decides():
    predictor = WordPredictor(lambda _, word: word[0].isdigit())
    text, boundary, views = read(Judging(predictor), ["ab ", "1", "2 ", "cd ", "3 "], False)
    assert text == "ab 12 "
    assert boundary.boundary == 3
    assert [view.text for view in views] == ["ab ", "ab 12 "]


def test_a_predictor_that_fails_ends_the_reading():
    class Broken:
        async def judge(self, passage):
            raise PredictorError("no")

    with pytest.raises(PredictorError, match="no"):
        read(Broken(), ["a ", "b "], False)


@pytest.mark.parametrize("partial_words", [False, True])
def test_progress_waits_for_a_word_that_is_needed(partial_words):
    """Progress needs the first word, so a boundary at it is not certain until it is complete."""
    reading = Reading(Trajectory(idle=1), partial_words=partial_words)
    for piece, certain in (("1", False), ("2", False), (" ", True)):
        for end in reading.add(piece):
            reading.view(end)
            reading.take(Judgement(0, 0, final=True))
        assert (reading.boundary is not None) is certain


# --- End markers --------------------------------------------------------------------------------

ENDS = ("</think>", "<|end|>")
marked = st.text(st.sampled_from("ab <>/|th"), max_size=30)
sizes_of_pieces = st.lists(st.integers(1, 5), min_size=1, max_size=5)


def shown(before, text, sizes):
    """What views show of a text that arrives in pieces, and whether a marker ended it."""
    reading = Reading(Trajectory(pending=before), ENDS, partial_words=True)
    at = number = seen = 0
    while at < len(text) and not reading.ended:
        size = sizes[number % len(sizes)]
        seen = max((seen, *reading.add(text[at : at + size])))
        number, at = number + 1, at + size
    return reading.view(seen).text[len(before) :], reading.ended


def beginning(text):
    """The length of the longest end of a text that a marker may begin with."""
    return max(n for end in ENDS for n in range(len(end)) if text.endswith(end[:n]))


@given(marked, marked, st.sampled_from(ENDS), sizes_of_pieces)
def test_a_marker_never_shows_however_it_is_cut(text, after, marker, sizes):
    found, ended = shown("", text + marker + after, sizes)
    assert ended
    assert text.startswith(found)


@given(marked, marked, sizes_of_pieces)
def test_all_other_text_shows_but_what_may_still_become_a_marker(before, text, sizes):
    whole = before + text
    assume(not any(end in whole for end in ENDS))
    found, ended = shown(before, text, sizes)
    assert not ended
    assert found == text[: len(text) - min(len(text), beginning(whole))]


@given(st.integers(1, 7), marked)
def test_a_marker_that_began_in_pending_text_ends_the_reading(begun, after):
    marker = ENDS[0]
    assert shown("okay " + marker[:begun], marker[begun:] + after, [3])[1]
