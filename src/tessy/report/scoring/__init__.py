"""Scoring: how likely the student finds what a run wrote.

    prompt      a sample as token ids of the student's, each with its author
    scorer      what a scorer is
    store       scores of a run, kept in its folder
    server      a scorer: the student's server
    weights     a scorer: the student's weights, with transformers
    score       scores runs: what is not there yet, so many at once

Each imports only from those above it.
"""
