"""A run on disk: its folder, the journals of its shards, and its counts.

    folder    the paths of a run and of its shards, and whether it can be resumed
    locks     who may write to a folder
    identity  the settings in a folder, which a run that goes on there must have
    shards    a shard by its name, `I/N`
    journal   of a shard: the samples that ended, and the turns of unfinished ones, in SQLite
    database  opens SQLite files that may come from elsewhere
    contents  checks what a journal holds
    reader    reads the journals as one, even while the run is active; writes the data set from them
    merge     `tessy merge`: the data set of shards that were written apart
    load      `tessy.load`: reading a run in Python
    counters  the counts of a run
    plan      the samples of a run, in order
    progress  shows the counts in a terminal

`synthesis` writes runs.
"""
