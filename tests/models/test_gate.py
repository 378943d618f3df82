"""What a streamed span shows its reader: all of the text, and nothing of an end marker."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tessy.models.session import _Gate

ENDS = ("</think>", "<|end|>")
texts = st.text(st.sampled_from("ab <>/|th"), max_size=30)


class Taken:
    """A reader that keeps what it is shown."""

    def __init__(self):
        self.text = ""

    def begin(self, enough):
        pass

    def read(self, text, event):
        self.text += text


def shown(before, text, sizes):
    """What a reader is shown of a text that comes in pieces, and whether that ended it."""
    gate, ended = _Gate(ENDS, before, Taken()), []
    gate.begin(lambda event, error: ended.append(event))
    at = event = 0
    while at < len(text) and not ended:
        size = sizes[event % len(sizes)]
        event += 1
        gate.read(text[at : at + size], event)
        at += size
    return gate.reader.text, bool(ended)


def beginning(text):
    """Characters at the end of a text that a marker may have begun with."""
    return max(n for end in ENDS for n in range(len(end)) if text.endswith(end[:n]))


@given(texts, texts, st.sampled_from(ENDS), st.lists(st.integers(1, 5), min_size=1, max_size=5))
def test_a_marker_never_shows_however_it_is_cut(text, behind, marker, sizes):
    found, ended = shown("", text + marker + behind, sizes)
    assert ended
    assert text.startswith(found)


@given(texts, texts, st.lists(st.integers(1, 5), min_size=1, max_size=5))
def test_all_other_text_shows_but_what_may_still_become_a_marker(before, text, sizes):
    whole = before + text
    if any(end in whole for end in ENDS):
        return
    found, ended = shown(before, text, sizes)
    assert not ended
    assert found == text[: len(text) - min(len(text), beginning(whole))]
