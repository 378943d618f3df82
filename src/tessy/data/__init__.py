"""Questions go in, records come out.

rows       rows of JSONL, Parquet and Hugging Face data sets
questions  questions in such rows, all checked before any work
record     what a finished or failed sample looks like
pieces     a response in pieces: who wrote what, and what was discarded where
outputs    files that a command writes: checked before any work
"""
