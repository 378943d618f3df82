"""Writes samples, from the whole run down to one draft.

    context       what all samples of a run share: `RunContext`
    sample        a sample and its drafts, one of which becomes the response
    cooperation   one draft, from question to answer: Algorithm 1 with real models
    methods       TESSY and every baseline of the paper, in a small file each
    verification  the verifier of a run
    signals       Ctrl-C, SIGTERM and SIGHUP
    scheduler     many samples at once, in one process
    workers       several processes that share a run
    run           `tessy.synthesize`: questions in, data set out

Each imports only from those above it.
"""
