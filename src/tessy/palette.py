"""One palette: what student, teacher and verdicts look like on pages, in charts and terminals.

Student and teacher are Okabe and Ito's orange and blue (Color Universal Design, 2008), dark or
light enough to be read, and told apart with any kind of colour vision. Colour never says anything
alone: the student's text has a dotted underline (italic in a terminal), the teacher's a solid one,
what was discarded is struck through, what is forced or tolerated has an underline of its own.
`tests/test_palette.py` computes contrasts and differences.
"""

from __future__ import annotations

from typing import Final

LIGHT: Final = {
    "paper": "#ffffff",
    "soft": "#f3f4f6",
    "line": "#d5d8dd",
    "ink": "#1c1e21",
    "quiet": "#5b6068",
    "link": "#0b57a8",
    "student": "#8a4b00",
    "student-paper": "#fff3dc",
    "student-bar": "#e69f00",
    "teacher": "#0a4f86",
    "teacher-paper": "#ffffff",
    "teacher-bar": "#0072b2",
    "new-paper": "#d9f2e2",
    "good": "#1b6b3a",
    "bad": "#a3261b",
    "busy": "#6a4a00",
    "run0": "#009e73",
    "run1": "#cc79a7",
    "run2": "#d55e00",
    "run3": "#8a7400",
    "run4": "#0072b2",
    "run5": "#56b4e9",
}
"""Colours on light paper, by their names in style sheets. `student` and `teacher` are for text,
`…-paper` is its background, `…-bar` is for areas; `run0` and on are the runs of a comparison."""
DARK: Final = {
    "paper": "#15171a",
    "soft": "#202327",
    "line": "#3a3f46",
    "ink": "#e6e7e9",
    "quiet": "#a3a9b2",
    "link": "#8ec5ff",
    "student": "#f2b84b",
    "student-paper": "#2c2413",
    "student-bar": "#e69f00",
    "teacher": "#86c8f7",
    "teacher-paper": "#15171a",
    "teacher-bar": "#56b4e9",
    "new-paper": "#17382a",
    "good": "#7fd49b",
    "bad": "#ff9d92",
    "busy": "#f0cf7a",
    "run0": "#2fc79d",
    "run1": "#e0a0c6",
    "run2": "#e69f00",
    "run3": "#f0e442",
    "run4": "#56b4e9",
    "run5": "#b8c4d0",
}
"""The same names, on dark paper."""
TERMINAL: Final = {"student": "italic #ad6500", "teacher": "#2a7bb3"}
"""Styles in a terminal, by role; read on black and on white."""
MARKS: Final = {"forced": "underline", "tolerated": "underline2"}
"""More styles in a terminal, of text that was kept although it may be of the other kind."""
DISCARDED: Final = "strike dim"
"""The style in a terminal of text that was rolled back."""
VERDICTS: Final = {"right": "green", "wrong": "red", "no_answer": "red", "error": "yellow"}
"""Styles in a terminal of a verifier's verdicts."""
SERIES: Final = (
    "#e69f00",
    "#56b4e9",
    "#009e73",
    "#cc79a7",
    "#d55e00",
    "#0072b2",
    "#b8a800",
    "#777777",
)
"""Okabe and Ito's colours for the lines of a plot, on white."""


def css() -> str:
    """The colours as custom properties of a style sheet, for light and dark."""
    light, dark = (
        "".join(f" --{name}: {colour};" for name, colour in colours.items())
        for colours in (LIGHT, DARK)
    )
    return (
        f":root {{ color-scheme: light dark;{light} }}\n"
        f"@media (prefers-color-scheme: dark) {{ :root {{{dark} }} }}\n"
    )
