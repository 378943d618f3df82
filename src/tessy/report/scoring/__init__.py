"""Scoring: how likely the student finds what a run wrote.

    tokens    a sample as token ids of the student's, each with its author
    scorers   `TextScorer`: the student's server, or its weights with transformers
    store     the scores of a run, kept in its folder
    score     scores runs: what has no score yet, many samples at once

Each module imports only from those above it.
"""

from tessy.report.scoring.score import RunScores, score_runs
from tessy.report.scoring.scorers import OpenScorer, TextScorer, open_server, open_weights

__all__ = ["OpenScorer", "RunScores", "TextScorer", "open_server", "open_weights", "score_runs"]
