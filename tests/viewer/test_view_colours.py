"""Colours of the pages: read by everybody, told apart by the colour-blind.

Contrast is WCAG 2's. Colour-blind sight is that of Machado, Oliveira and Fernandes (2009), at full
severity; how far apart two colours are then is CIE 1976's ΔE in L*a*b*.
"""

from __future__ import annotations

import math
import re
from importlib import resources
from itertools import product

import numpy as np
import pytest

CSS = resources.files("tessy.report.viewer").joinpath("static", "view.css").read_text("utf-8")
LIGHT, DARK = (
    dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block))
    for block in re.findall(r":root \{(.*?)\}", CSS, re.S)
)
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
    assert {"paper", "ink", "student", "teacher"} <= set(LIGHT)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(
    ("text", "paper"),
    [
        *product(("ink", "quiet", "link", "bad", "good", "busy"), ("paper", "soft")),
        *product(("student", "teacher"), ("paper", "soft")),
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
    styles = dict(re.findall(r"\.(student|teacher) \{([^}]*)\}", CSS))
    assert "text-decoration-style: dotted" in styles["student"]
    assert "text-decoration-style" not in styles["teacher"]
