"""Text with origins does what text does, and each character keeps its origin."""

from __future__ import annotations

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessy.models.tracing import (
    CHANGED,
    OF_TEMPLATE,
    TracedText,
    changed,
    concatenate,
    is_traced,
    origins_of,
)

short = st.text(st.sampled_from("ab \n\u2028/</>think計"), max_size=30)
separators = st.sampled_from(["a", " ", "\n", "</", "th", "zz"])
counts = st.integers(-1, 3)
OPERATIONS = {
    "strip": (lambda t, s, n: [t.strip(), t.strip(s)]),
    "lstrip": (lambda t, s, n: [t.lstrip(), t.lstrip(s)]),
    "rstrip": (lambda t, s, n: [t.rstrip(), t.rstrip(s)]),
    "removeprefix": (lambda t, s, n: [t.removeprefix(s), t.removesuffix(s)]),
    "split": (lambda t, s, n: [*t.split(), *t.split(s), *t.split(s, n), *t.split(None, n)]),
    "rsplit": (lambda t, s, n: [*t.rsplit(), *t.rsplit(s), *t.rsplit(s, n), *t.rsplit(None, n)]),
    "splitlines": (lambda t, s, n: [*t.splitlines(), *t.splitlines(True)]),
    "partition": (lambda t, s, n: [*t.partition(s), *t.rpartition(s)]),
    "slices": (lambda t, s, n: [t[n:], t[:n], t[::-1], t[1:9:2], *t[:1]]),
    "replace": (lambda t, s, n: [t.replace(s, "X"), t.replace(s, "", n)]),
    "join": (lambda t, s, n: [t.join(["x", s, "y"])]),
    "iterate": (lambda t, s, n: list(t)),
    "str": (lambda t, s, n: [str(t)]),
}


@pytest.mark.parametrize("name", OPERATIONS)
@given(text=short, separator=separators, count=counts)
def test_each_character_keeps_its_origin(name, text, separator, count):
    operation = OPERATIONS[name]
    traced = TracedText(text, array("q", range(len(text))))
    found = operation(traced, separator, count)
    assert found == operation(text, separator, count)
    for part in found:
        origins = origins_of(part)
        assert len(origins) == len(part)
        assert CHANGED not in origins
        for character, origin in zip(str.__str__(part), origins, strict=True):
            assert origin == OF_TEMPLATE or text[origin] == character
    if name in ("strip", "split", "rsplit", "splitlines", "partition", "slices", "iterate"):
        assert not any(OF_TEMPLATE in origins_of(part) for part in found if part != separator)


@given(st.lists(st.tuples(short, st.booleans()), max_size=6), separators)
def test_what_is_joined_keeps_its_origins(parts, between):
    texts = [TracedText(t, array("q", range(len(t)))) if traced else t for t, traced in parts]
    found = concatenate(texts, between)
    assert found == between.join(text for text, _ in parts)
    expected = [list(origins_of(text)) for text in texts]
    joined = [OF_TEMPLATE] * len(between)
    flat = [o for n, part in enumerate(expected) for o in ([*joined, *part] if n else part)]
    assert list(origins_of(found)) == flat


def test_what_cannot_be_followed_is_changed():
    for value in (changed("ab"), *changed(["ab"]), *changed(("ab",))):
        assert list(origins_of(value)) == [CHANGED, CHANGED]
    kept = TracedText("a", array("q", [0]))
    assert changed(kept) is kept
    assert changed(3) == 3
    assert not is_traced(TracedText("template's"))
