"""Reviews: the last one of a sample counts, none is lost, and bad files are named."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessy.errors import JournalError, ViewError
from tessy.runs.reviews import (
    BOUNDARIES,
    REVIEWS,
    Correction,
    Decision,
    Review,
    ReviewCache,
    add,
    digest,
    read_corrections,
    read_reviews,
)
from texts import any_text

reviews = st.builds(
    Review,
    id=st.sampled_from(["a", "b", "\x00", "ü\n"]),
    text=any_text.map(digest),
    decision=st.none() | st.sampled_from(Decision),
    comment=any_text,
)
corrections = st.builds(
    Correction,
    id=st.sampled_from(["a", "b"]),
    text=any_text.map(digest),
    style=st.lists(st.tuples(st.integers(0, 9), st.integers(10, 19)), max_size=3).map(tuple),
    whole=st.booleans(),
)


@given(st.lists(reviews | corrections, max_size=8))
def test_the_last_line_of_a_sample_counts(lines):
    with TemporaryDirectory() as name:
        run = Path(name)
        cache = ReviewCache(run)
        for line in lines:
            add(run, line)
            assert cache() == read_reviews(run), "a change is seen at once"
        assert read_reviews(run) == {x.id: x for x in lines if isinstance(x, Review)}
        assert read_corrections(run) == {x.id: x for x in lines if isinstance(x, Correction)}


def test_what_a_full_disk_cut_off_is_left_out_and_written_over(tmp_path):
    add(tmp_path, Review(id="a", text="x", decision=Decision.ACCEPTED))
    with (tmp_path / REVIEWS).open("ab") as file:
        file.write(b'{"id": "b", "te')
    assert list(read_reviews(tmp_path)) == ["a"]
    add(tmp_path, Review(id="c", text="x"))
    assert list(read_reviews(tmp_path)) == ["a", "c"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("no json", "no JSON: "),
        ("{}", "id is not given"),
        ('{"id": "a"}', "text is not given"),
        ('{"id": "a", "text": "x", "decision": "good"}', "decision = 'good': input should be"),
    ],
)
def test_a_broken_line_is_named(tmp_path, line, said):
    add(tmp_path, Review(id="a", text="x"))
    with (tmp_path / REVIEWS).open("a") as file:
        file.write(line + "\n")
    with pytest.raises(JournalError, match="line 2: it is not what `tessy view` writes") as found:
        read_reviews(tmp_path)
    assert said in found.value.message


@pytest.mark.parametrize("name", [REVIEWS, BOUNDARIES])
def test_a_link_is_not_followed(tmp_path, name):
    """The folder may come from elsewhere."""
    secret = tmp_path / "secret"
    secret.write_text("kept")
    (tmp_path / name).symlink_to(secret)
    line = Review(id="a", text="x") if name == REVIEWS else Correction(id="a", text="x", style=())
    with pytest.raises(ViewError, match="it is a link"):
        add(tmp_path, line)
    with pytest.raises(JournalError, match="it is a link"):
        read_reviews(tmp_path) if name == REVIEWS else read_corrections(tmp_path)
    assert secret.read_text() == "kept"
