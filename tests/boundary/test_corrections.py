"""Boundaries that readers corrected: which segments they become, and with which labels."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commands import run as tessy
from tessy.boundary.training.corrections import READER, corrected_segments, segments_of
from tessy.boundary.training.segments import DEFAULT_WORDS, is_style
from tessy.errors import DataError
from tessy.method.words import units
from tessy.runs.folder import RunFolder
from tessy.runs.reviews import Correction, add, digest
from written import Written, write_run

STUDENT = "okay, so"
TEACHER = " " + " ".join(f"w{n}" for n in range(3 * DEFAULT_WORDS))
THINKING = STUDENT + TEACHER


def made(sample: Written) -> dict:
    return sample.ending(0).record


def correction(record: dict, style: list[tuple[int, int]], **more) -> Correction:
    content = record["messages"][-1]["content"]
    return Correction(id=record["id"], text=digest(content), style=tuple(style), **more)


def span_of(word: str) -> tuple[int, int]:
    start = THINKING.index(f" {word} ") + 1
    return start, start + len(word)


RECORD = made(Written("q", student=STUDENT, teacher=TEACHER))
WRITTEN = (0, len(STUDENT))


def test_only_what_was_read_is_taken_and_with_the_readers_labels():
    turned = span_of("w70")
    (segment,) = segments_of(RECORD, correction(RECORD, [WRITTEN, turned]))
    assert "w70" in segment.text
    assert "w57" not in segment.text.split(), "the segment before is not the reader's"
    assert [segment.text[a:b] for a, b in segment.spans] == ["w70"]
    assert (segment.annotator, segment.trace, segment.question) == (READER, "q", "Why?")
    assert segment.before.split()[0] == "okay,"
    assert segment.before + segment.text in THINKING


def test_all_of_it_if_all_was_read():
    found = list(segments_of(RECORD, correction(RECORD, [WRITTEN], whole=True)))
    assert "".join(segment.text.replace(" ", "") for segment in found) == THINKING.replace(" ", "")
    assert [segment.text[a:b] for segment in found for a, b in segment.spans] == ["okay, so"]


def test_nothing_turned_is_nothing_read():
    assert list(segments_of(RECORD, correction(RECORD, [WRITTEN]))) == []


def test_a_correction_of_another_response_is_left_out():
    other = made(Written("q", student="hm, so", teacher=TEACHER))
    assert list(segments_of(other, correction(RECORD, [], whole=True))) == []


@given(st.data())
def test_every_word_has_the_kind_that_the_reader_gave_it(data):
    words = [word for word in units(THINKING) if word.word_end > word.word_start]
    kinds = data.draw(st.lists(st.booleans(), min_size=len(words), max_size=len(words)))
    style = [(w.word_start, w.word_end) for w, kind in zip(words, kinds, strict=True) if kind]
    found = list(segments_of(RECORD, correction(RECORD, style, whole=True)))
    said = [kind for s in found for kind in is_style(s, units(s.text))]
    assert said == kinds


async def test_a_run_gives_its_segments_or_says_how_to_make_some(tmp_path):
    run = tmp_path / "run"
    sample = Written("q", student=STUDENT, teacher=TEACHER)
    await write_run(RunFolder(run), [sample, Written("p")])
    with pytest.raises(DataError, match="no corrected boundary") as caught:
        corrected_segments(run)
    assert "tessy view" in (caught.value.hint or "")
    add(run, correction(RECORD, [], whole=True))
    add(run, Correction(id="gone", text="x", style=()))
    found = corrected_segments(run)
    assert [segment.trace for segment in found] == ["q"] * len(found)
    assert len(found) == 4
    assert not any(segment.spans for segment in found)


async def test_predictor_train_names_a_run_without_corrections(tmp_path):
    run = tmp_path / "run"
    await write_run(RunFolder(run), [Written("q")])
    done = tessy("predictor", "train", run, "--base", "window", "--out", tmp_path / "out")
    assert done.code == 2
    assert "no corrected boundary" in done.err
