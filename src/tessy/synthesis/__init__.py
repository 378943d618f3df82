"""Writes samples, from the whole run down to one draft.

    routing        which of several teachers writes a sample; no I/O
    gate           how many trajectories run at once: the others wait before their next request
    context        what all samples of a run share: `RunContext`
    sample         a sample and its drafts, one of which becomes the response
    cooperation    one draft, from question to answer: Algorithm 1 with real models
    rewriting      a draft made of another one, its style spans rewritten side by side
    methods        TESSY and every baseline of the paper, in a small file each
    verification   the verifier of a run, and the questions that it can verify
    conversations  renders questions, before any work, to see that prompts can be made of them
    signals        Ctrl-C, SIGTERM and SIGHUP
    pressure       decides how many, from how late the client is and what caches hold; no I/O
    watch          measures that
    shards         the shards that a process writes, one after the other
    scheduler      many samples at once, in one process
    shares         how many workers and shards there are, and each worker's share of the limits
    begin          starts a run in a folder, or makes sure that it can be resumed
    workers        several processes on this machine, which take free shards
    run            `tessy.synthesize`: questions in, data set out

Each imports only from those above it.
"""
