"""Exports: finished samples in the form that a training tool reads, filtered.

    settings     what to export, and how
    samples      a sample to export, the reasons to drop one, and counts of both
    portable     names and settings without anything of this machine
    overlap      texts that share words with test questions, or are nearly the same
    filters      drops samples: by their numbers, test questions, near-duplicates
    trial        what a student's chat template makes of the samples
    formats      what a format is; TRL, ShareGPT and Alpaca
    parquet      records as typed columns, and back; the format for everything else
    sources      reads the samples of runs and data sets
    verdicts     what was verified afterwards
    huggingface  Parquet with a card, and its upload
    staging      a folder that is there whole or not at all
    job          the whole export: read, filter, split, format, write

Each imports only from those above it. `job.export` is what `tessy export` runs.
"""
