"""Reading the score in a judge's answer."""

from __future__ import annotations

import pytest

from tessy.synthesis.methods.prompts import score_in


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("Score: 7", 7),
        ("It is right.\n**Score: 9.5**", 9.5),
        ("Score: 3\nNo, wait. Score: 4.", 4),
        ("Score (0-10): 7", 7),
        ("score 1-10: 6", 6),
        ("Score [0 to 10]: 10", 10),
        ("Score = 8/10", 8),
        ('{"score": 5}', 5),
        ("Score - 7", 7),
        ("6/10", 6),
        ("**8**", 8),
        ("Score: 7\n- 2 slips in the algebra", 7),
        ("Score: 7 - 2 errors", 7),
        ("Score: 7 - 8.5", 7),
        ("Score:-7", 7),
        ("Score: 11", None),
        ("**Score** (0-10): 7", 7),
        ("Score: (0-10) 7", 7),
        ("Score: 0-10: 7", 7),
        ("Score (1-10, higher is better): 8", 8),
        ("Score (0.0-10.0): 7", 7),
        ("Score: 0–10", None),
        ("Scores of 3 people", None),
        ("I can't say.", None),
    ],
)
def test_the_score_of_a_judge(text, score):
    assert score_in(text) == score
