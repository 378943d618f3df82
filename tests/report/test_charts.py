"""Charts are well-formed SVG, whatever runs and roles are called."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessy.display import visible
from tessy.report.charts import histograms, scatter
from tessy.report.figures.lengths import Histogram
from tessy.report.figures.similarity import Cloud

HOSTILE_TITLES = [
    "</title></svg><script>alert(1)</script>",
    "a & b < c > d \"e\" 'f'",
    "]]><!-- -->",
    "&#0; &evil; {{ 7 * 7 }}",
    *(f"a{character}b" for character in "\0\x08\x1b\x7f\x85\u202e\ufffe\uffff\ud800"),
]
names = st.sampled_from(HOSTILE_TITLES) | st.text(st.characters(), max_size=20)


def texts(picture: str) -> str:
    root = ElementTree.fromstring(f"<div>{picture}</div>")
    assert {element.tag for element in root.iter()} <= {
        *("div", "svg", "g", "path", "circle", "rect", "line", "text", "title", "p", "span"),
    }
    return "".join(root.itertext())


def check(name: str) -> None:
    bars = histograms(name, name, {name: Histogram(1, [1, 2], 1.5, 2.0, 2)})
    cloud = Cloud(np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([0.5, 0.5]))
    points = scatter(name, {name: cloud, "other": cloud}, [0.5, 0.2])
    for chart in (bars, points):
        shown = visible(name).replace("\r", "")
        assert shown in texts(chart.picture).replace("\r", "")


@pytest.mark.parametrize("name", HOSTILE_TITLES)
def test_titles_and_labels_are_text(name):
    check(name)


@given(names)
def test_any_name_makes_a_well_formed_picture(name):
    check(name)
