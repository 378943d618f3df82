"""A run on disk: its folder, its journal, and its counts.

    folder    the paths of a run, its lock, and whether it can be resumed
    identity  the settings by which it is known that a run is the same
    locks     locks of the folder, and of its shards
    shards    a shard, as the command line names it
    journal   the samples that ended, and the turns of unfinished ones, in SQLite
    database  opens SQLite files that may come from elsewhere
    contents  checks what a journal holds
    reader    reads a journal, even while the run is active; writes the data set from it
    parts     the parts of a shard that are uploaded, and which of them make it up
    restore   makes a copy of a shard from its parts
    lease     who writes a shard at a URL
    keeper    uploads a shard while it is written
    remote    a run at a URL
    rows      parts of the data set in Parquet
    merge     writes the data set of a run whose shards were written apart
    load      `tessy.load`: reading a run in Python
    counters  the counts of a run
    plan      which samples to write
    progress  shows the counts in a terminal

`synthesis` writes runs.
"""
