"""Charts are well-formed SVG, whatever runs and roles are called."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessy.display import visible
from tessy.report import charts
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
    weighed = charts.words(name, {name: [(name, 1.0)], "other": [("so", 2.0)]})
    for chart in (bars, points, weighed):
        shown = visible(name).replace("\r", "")
        assert shown in texts(chart.picture).replace("\r", "")


@pytest.mark.parametrize("name", HOSTILE_TITLES)
def test_titles_and_labels_are_text(name):
    check(name)


@given(names)
def test_any_name_makes_a_well_formed_picture(name):
    check(name)


def test_bars_of_words_are_as_long_as_their_weights_and_point_to_their_side():
    sides = {"student": [("wait", 4.0), ("so", 2.0)], "teacher": [("<b>7", 1.0)]}
    chart = charts.words("Words", sides)
    assert "<b>" not in chart.picture
    assert "&lt;b&gt;7" in chart.picture
    found = re.findall(r'<rect class="(\w+)" x="([\d.]+)" y="\d+" width="([\d.]+)"', chart.picture)
    bars = [(kind, float(x), float(width)) for kind, x, width in found]
    middle = charts.WIDTH / 2
    assert [kind for kind, *_ in bars] == ["student", "student", "teacher"]
    (_, left, first), (_, _, second), (_, right, third) = bars
    assert first == 2 * second == 4 * third
    assert left + first == right == middle
    assert chart.words == "more in student: wait, so; more in teacher: <b>7"


@given(st.lists(st.integers(0, 50), min_size=1, max_size=10).filter(any))
def test_bars_of_shares_are_a_whole(counts):
    chart = charts.shares("Confidence", "P", counts, 0.1)
    told = [float(share) for share in re.findall(r": ([\d.]+)%", chart.words)]
    assert sum(told) == pytest.approx(100, abs=0.06 * len(counts))
    heights = [float(h) for h in re.findall(r'height="([\d.]+)"><title>', chart.picture)]
    assert max(heights) == pytest.approx(charts.INNER_HEIGHT, abs=0.1)
    assert [height > 0 for height in heights] == [
        count / max(counts) * charts.INNER_HEIGHT >= 0.05 for count in counts
    ]


def test_a_run_has_one_colour_in_all_charts():
    """Whichever other runs are beside it in a chart."""
    runs = ["one", "two", "three"]
    cloud = Cloud(np.array([[0.0, 1.0], [1.0, 0.0]]), np.array([0.5, 0.5]))
    made = [
        histograms("t", "u", {name: Histogram(1, [1], 1.0, 1.0, 1) for name in runs[1:]}, runs),
        scatter("t", dict.fromkeys(runs[1:], cloud), [0.5, 0.2], runs),
        charts.words("t", {"three": [("so", 1.0)], "two": [("wait", 1.0)]}, runs),
        charts.shares("t", "u", [1, 2], 0.1, place=2),
    ]
    for chart in made:
        assert "run2" in chart.picture
        assert "run0" not in chart.picture
