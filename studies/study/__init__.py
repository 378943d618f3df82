"""The study: every method's data for the same questions, a student trained on each, measured.

`python -m studies.study SETTINGS --out DIR`, or `make study`; docs/study.md has the results. Each
module imports only those above it.

    settings        how large it is, and its conditions
    plan            its jobs, and the folder of each
    jobs            one job: write data, train on it and measure each epoch, or compare data
    conductor       all jobs, several at once, each in a process of its own
    results         the results, as numbers by method and condition
    expectations    the paper's findings, compared with them
    plots           the results as pictures
    page            the results as docs/study.md

`study.toml` and `smoke.toml` are settings, `reading.md` is the part of docs/study.md that is
written by hand, and `thinking.py` computes some of its numbers.
"""
