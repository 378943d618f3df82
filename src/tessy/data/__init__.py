"""Questions go in, records come out.

rows       rows of JSONL, Parquet and Hugging Face data sets
questions  questions in such rows, all checked before any work
record     the records of finished and failed samples
pieces     a response cut into pieces by author, with what was discarded
files      files in folders that may come from elsewhere
outputs    checks, before any work, that a command can write its files
"""
