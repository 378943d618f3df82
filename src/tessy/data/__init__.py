"""Questions go in, records come out.

sources    finds the files that a source names, and opens them
exact      JSON read and written without changing a number
cache      where copies of what can be fetched again are kept
remote     files and folders at URLs
fetched    files at URLs, fetched once, and read from the cache folder
parquet    records as rows of Parquet
rows       rows of JSON, CSV, Parquet, Arrow and Hugging Face data sets
messages   the messages of a conversation, checked
columns    the columns of a row that hold a question
given      questions that a program has in memory, kept as a file
questions  questions in such rows: checked before any work, then read again as they are needed
record     the records of finished and failed samples
pieces     a response cut into pieces by author, with what was discarded
files      files in folders that may come from elsewhere
outputs    where commands write: checks before any work, and uploads to URLs
"""
