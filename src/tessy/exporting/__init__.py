"""Exports: a data set in the form that a tool for training wants, filtered.

    sample         a record, its shape checked; numbers about it
    drops          reasons to drop a sample
    counts         what an export came to
    split          train or validation
    portable       names and settings fit to be published
    limits         filters on the numbers of a sample
    tokenizer      counting tokens for one of them
    contamination  a filter: words shared with test questions
    duplicates     a filter: near-duplicates
    settings       what to export, and how
    filters        those that the settings ask for
    schema         records as typed columns, and back
    source         samples of runs and data sets
    jsonl          a writer of lines
    trl            for TRL
    sharegpt       for LLaMA-Factory and Axolotl
    alpaca         for LLaMA-Factory and others
    parquet        typed columns, for everything else
    card           a data set's card
    hf             for Hugging Face: Parquet and a card
    hub            uploads it
    formats        formats by name
    staging        a folder that is there whole or not at all
    job            the whole export

Each imports only from those above it.
"""
