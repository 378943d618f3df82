"""Filters: what a query string asks for."""

from __future__ import annotations

from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessy.errors import InputError
from tessy.method.trajectory import Failure
from tessy.report.viewer.filters import (
    Filter,
    ReviewFilter,
    Sort,
    Status,
    VerdictFilter,
    page_number,
)
from texts import any_text

filters = st.builds(
    Filter,
    id=any_text.map(str.strip),
    text=any_text.map(str.strip),
    status=st.none() | st.sampled_from(Status) | st.sampled_from(Failure),
    share_least=st.none() | st.integers(0, 1000).map(lambda tenths: tenths / 10),
    share_most=st.none() | st.integers(0, 100).map(float),
    tokens_least=st.none() | st.integers(0, 10**9),
    tokens_most=st.none() | st.integers(0, 10**9),
    verdict=st.none() | st.sampled_from(VerdictFilter),
    review=st.none() | st.sampled_from(ReviewFilter),
    sort=st.none() | st.sampled_from(Sort),
    descending=st.booleans(),
)


@given(filters)
def test_a_filter_comes_back_from_its_query_string(wanted):
    query = {key: value[0] for key, value in parse_qs(wanted.query(page=3)).items()}
    assert query.pop("page") == "3"
    assert Filter.parse(query) == wanted


def test_nothing_asked_for_is_no_query_string():
    assert Filter.parse({"id": " ", "share_least": "", "sample": "x"}) == Filter()
    assert Filter().query() == ""


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"status": "done"}, "status 'done' is not known"),
        ({"verdict": "good"}, "verdict 'good' is not known"),
        ({"review": "yes"}, "review 'yes' is not known"),
        ({"sort": "samples"}, "sort 'samples' is not known"),
        ({"share_least": "much"}, "share_least = 'much': not a percentage"),
        ({"share_most": "101"}, "share_most = '101': not a percentage"),
        ({"share_most": "nan"}, "share_most = 'nan': not a percentage"),
        ({"tokens_least": "-1"}, "tokens_least = '-1': not a whole number"),
        ({"tokens_most": "1e5"}, "tokens_most = '1e5': not a whole number"),
        ({"tokens_most": "٣"}, "not a whole number"),
    ],
)
def test_what_makes_no_sense_is_named_with_what_would(query, said):
    with pytest.raises(InputError, match=said) as caught:
        Filter.parse(query)
    assert caught.value.hint


def test_a_page_is_a_number_from_1():
    assert page_number({}) == page_number({"page": "1"}) == 1
    assert page_number({"page": "17"}) == 17
    for bad in ("0", "-1", "last", "9" * 30):
        with pytest.raises(InputError, match="page"):
            page_number({"page": bad})


def test_sorting_excludes_nothing_and_turns_round():
    wanted = Filter().sorted_by(Sort.TOKENS)
    assert not wanted.narrows
    assert not wanted.needs_end
    assert wanted.sorted_by(Sort.TOKENS).descending
    assert not wanted.sorted_by(Sort.TOKENS).sorted_by(Sort.TOKENS).descending
    assert Filter(verdict=VerdictFilter.RIGHT).narrows
