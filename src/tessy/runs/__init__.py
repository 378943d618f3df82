"""A run on disk: its folder, the journals of its shards, and its counts.

    folder        the paths of a run and of its shards, and whether it can be resumed
    identity      the settings in a folder, which a run or a training that goes on there must have
    run_toml      run.toml: the settings of a run, its questions and its models
    locks         who may write to a folder
    shards        a shard by its name, `I/N`
    database      opens SQLite files that may come from elsewhere
    schema        the tables of a journal
    contents      checks what a journal holds
    written       what a journal holds of a sample
    journal       of a shard: the samples that ended, and the turns of unfinished ones, in SQLite
    shard_reader  reads a shard's journal, even while it is written
    reader        reads the journals of a run as one
    dataset       writes dataset.jsonl and failures.jsonl
    edits         notices that somebody changed a data set, and keeps it
    parts         the parts of a shard that are uploaded, and which of them make it up
    restore       makes a copy of a shard from its parts
    lease         who writes a shard at a URL
    keeper        uploads a shard while it is written
    remote        a run at a URL
    rows          parts of the data set in Parquet
    records       the records of a run, as rows of a data set
    reviews       what readers decided about samples, beside the journals
    merge         `tessy merge`: the data set of shards that were written apart
    missing       what is at a place without a run, and which run may have been meant
    load          `tessy.load`: reading a run in Python
    counters      the counts of a run
    totals        what samples come to: tokens, verdicts, failures
    plan          the samples of a run, in order
    progress      shows the counts in a terminal

`synthesis` writes runs.
"""
