import re
import sys
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tessy.method import words
from tessy.method.words import LONGEST_WORD, complete, units
from texts import any_text, model_text


@given(any_text)
def test_units_partition_the_text_but_for_a_blank_tail(text):
    position = 0
    for unit in units(text):
        assert unit.start == position <= unit.word_start <= unit.word_end <= unit.end
        assert text[unit.start : unit.word_start].isspace() or unit.start == unit.word_start
        assert not any(c.isspace() for c in text[unit.word_start : unit.word_end])
        position = unit.end
    tail = text[position:]
    assert not tail or (tail.isspace() and "\n" not in tail)


@given(any_text)
def test_new_lines_stay_with_what_precedes_and_blanks_go_with_the_word(text):
    for unit in units(text):
        assert "\n" not in text[unit.start : unit.word_start]
        after = text[unit.word_end : unit.end]
        assert not after or after.endswith("\n")


@given(any_text)
def test_no_seam_falls_before_a_combining_mark_or_joiner(text):
    for unit in units(text):
        if unit.start and unit.word_start == unit.start and not text[unit.start - 1].isspace():
            assert not unicodedata.combining(text[unit.start])
            assert text[unit.start] not in "\u200d\u200c\ufe0f"


@given(st.one_of(model_text, any_text), st.one_of(model_text, any_text))
@example("half a wor", "d")
@example("e", "\u0301")
def test_complete_words_do_not_change_when_more_text_arrives(text, more):
    before = complete(text, units(text), final=False)
    after = units(text + more)
    assert [(u.word_start, u.word_end) for u in before] == [
        (u.word_start, u.word_end) for u in after[: len(before)]
    ]


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("Okay, let's  see", ["Okay,", " let's", "  see"]),
        ("see\n\n    x = 3 \n y", ["see\n\n", "    x", " =", " 3 \n", " y"]),
        ("\n\n foo bar ", ["\n\n", " foo", " bar"]),
        ("完成了。good 好", ["完", "成", "了", "。", "good", " 好"]),
        ("👩‍👩‍👧 family", ["👩‍👩‍👧", " family"]),
        ("ก็ดี", ["ก็", "ดี"]),
        ("안녕 하세요", ["안녕", " 하세요"]),
        ("", []),
        ("  ", []),
    ],
)
def test_examples(text, cut):
    assert [text[u.start : u.end] for u in units(text)] == cut


def test_an_endless_run_without_blanks_is_split():
    lengths = [u.word_end - u.word_start for u in units("a" * (2 * LONGEST_WORD + 50))]
    assert lengths == [LONGEST_WORD, LONGEST_WORD, 50]


def test_what_stands_alone_is_what_is_unspaced_and_extends_nothing():
    every = "".join(map(chr, range(sys.maxunicode + 1)))

    def those(characters):
        return set(re.findall(f"[{characters}]", every))

    assert those(words._ALONE) == those(words._UNSPACED) - those(words._EXTEND)
