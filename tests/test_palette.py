"""The palette: read by everybody, told apart by the colour-blind, and the only one there is.

Contrast is WCAG 2's. Colour-blind sight is that of Machado, Oliveira and Fernandes (2009), at full
severity; how far apart two colours are then is CIE 1976's ΔE in L*a*b*.
"""

from __future__ import annotations

import math
import re
from importlib import resources
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from tessy import palette
from tessy.palette import DARK, LIGHT

PACKAGE = resources.files("tessy")
CSS = resources.files("tessy.report.viewer").joinpath("static", "view.css").read_text("utf-8")
SCHEMES = {"light": LIGHT, "dark": DARK}
SIGHTS = {
    "usual": np.eye(3),
    "protanopia": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deuteranopia": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "tritanopia": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = XYZ @ np.ones(3)
FAR_APART = 40
"""ΔE; 2.3 is what is just noticed."""


def linear(colour: str) -> np.ndarray:
    values = np.array([int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def contrast(one: str, other: str) -> float:
    darker, lighter = sorted(float(XYZ[1] @ linear(colour)) for colour in (one, other))
    return (lighter + 0.05) / (darker + 0.05)


def lab(colour: str, sight: str) -> np.ndarray:
    seen = XYZ @ np.clip(SIGHTS[sight] @ linear(colour), 0, 1) / WHITE
    x, y, z = np.where(seen > (6 / 29) ** 3, np.cbrt(seen), seen / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def apart(one: str, other: str, sight: str) -> float:
    return math.dist(lab(one, sight), lab(other, sight))


def test_the_yardsticks_measure():
    assert contrast("#000000", "#ffffff") == pytest.approx(21, abs=0.01)
    assert apart("#000000", "#ffffff", "usual") == pytest.approx(100, abs=0.1)
    red, green = "#b04020", "#5a7a10"
    assert apart(red, green, "deuteranopia") < FAR_APART < apart(red, green, "usual")


def test_both_schemes_name_the_same_colours():
    assert set(LIGHT) == set(DARK)
    for colours in (LIGHT, DARK):
        for name, colour in colours.items():
            assert f" --{name}: {colour};" in palette.css()


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(
    ("text", "paper"),
    [
        *product(("ink", "quiet", "link", "bad", "good", "busy"), ("paper", "soft")),
        *product(("student", "teacher"), ("paper", "soft", "new-paper")),
        *(("student", "student-paper"), ("teacher", "teacher-paper"), ("paper", "link")),
    ],
)
def test_text_is_read(scheme, text, paper):
    colours = SCHEMES[scheme]
    assert contrast(colours[text], colours[paper]) >= 4.5


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("sight", ["usual", "protanopia", "deuteranopia"])
@pytest.mark.parametrize("pair", [("student", "teacher"), ("student-bar", "teacher-bar")])
def test_student_and_teacher_are_told_apart(scheme, sight, pair):
    one, other = (SCHEMES[scheme][name] for name in pair)
    assert apart(one, other, sight) >= FAR_APART


@pytest.mark.parametrize("scheme", SCHEMES)
def test_without_blue_they_are_still_noticed_and_the_underline_says_the_rest(scheme):
    colours = SCHEMES[scheme]
    assert apart(colours["student"], colours["teacher"], "tritanopia") >= 20
    styles = dict(re.findall(r"^\.(student|teacher) \{([^}]*)\}", CSS, re.M))
    assert "text-decoration-style: dotted" in styles["student"]
    assert "text-decoration-style" not in styles["teacher"]


@pytest.mark.parametrize("paper", ["#ffffff", "#000000"])
def test_a_terminal_is_read_whatever_its_background(paper):
    for style in palette.TERMINAL.values():
        assert contrast(style.split()[-1], paper) >= 4.5  # no colour has more than 4.58 on both


@pytest.mark.parametrize("sight", ["usual", "protanopia", "deuteranopia"])
def test_authors_differ_in_a_terminal_and_not_by_colour_alone(sight):
    student, teacher = palette.TERMINAL.values()
    assert apart(student.split()[-1], teacher.split()[-1], sight) >= FAR_APART
    assert "italic" in student
    assert "italic" not in teacher
    assert len({*palette.MARKS.values(), palette.DISCARDED}) == 3


def test_no_other_file_of_the_package_has_colours_of_its_own():
    """Runs of a comparison and plots included; the icon and what libraries brought apart."""
    others = {"palette.py", "icon.svg"}
    found = [
        path
        for suffix in ("py", "css", "jinja")
        for path in Path(str(PACKAGE)).rglob(f"*.{suffix}")
        if path.name not in others and "vendor" not in path.parts
        if re.search(
            r"[\"' :]#(?:[0-9a-f]{3,4}|[0-9a-f]{6}|[0-9a-f]{8})[\"';]", path.read_text("utf-8")
        )
    ]
    assert found == []
