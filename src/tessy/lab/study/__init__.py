"""The study: every method's data for the same questions, a student trained on each, measured.

    settings    how large, and under which conditions
    plan        which jobs that makes, and where each lies
    job         one job: write data, or train on it and measure the epochs
    conduct     all jobs, so many at once, each in a process of its own
    results     what came out, as numbers by method and condition
    expect      the paper's findings, held against them
    plots       the same as pictures
    page        the same as docs/study.md

Each imports only from those above it.
"""
