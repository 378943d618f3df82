from hypothesis import given
from hypothesis import strategies as st

from tessy.method.repetition import LONGEST, SHORTEST, TIMES, RepetitionGuard


def repeats(words):
    """The rule, by definition: a fragment occurs TIMES times in a row at the end of `words`."""
    for period in range(SHORTEST, LONGEST + 1):
        tail = words[-period * TIMES :]
        if len(tail) == period * TIMES and tail == tail[:period] * TIMES:
            return True
    return False


def first_hit(words):
    return next((n for n in range(1, len(words) + 1) if repeats(words[:n])), None)


looping = st.tuples(
    st.lists(st.sampled_from("abc"), max_size=20),
    st.lists(st.sampled_from("abcd"), min_size=1, max_size=8),
    st.integers(1, 12),
    st.lists(st.sampled_from("abc"), max_size=10),
).map(lambda parts: [*parts[0], *parts[1] * parts[2], *parts[3]])


@given(looping)
def test_the_guard_notices_exactly_when_the_rule_says_so(words):
    guard = RepetitionGuard()
    hit = next((n for n, word in enumerate(words, 1) if guard.feed(word + " ")), None)
    assert hit == first_hit(words)


@given(looping, st.data())
def test_the_result_does_not_depend_on_how_the_text_is_cut(words, data):
    text = " ".join(words) + " "
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    guard = RepetitionGuard()
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert any([guard.feed(piece) for piece in pieces]) == (first_hit(words) is not None)


def test_it_forgets_words_that_are_out_of_its_window():
    guard = RepetitionGuard()
    guard.feed(" ".join(f"w{i}" for i in range(10_000)) + " ")
    assert len(guard._places) <= 5 * LONGEST


def test_the_fragment_is_named():
    assert RepetitionGuard().feed("one two three " * TIMES) == "one two three"
