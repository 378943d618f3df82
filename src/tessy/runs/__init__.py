"""Runs: many samples, a folder, and a way back after every crash.

    folder      what lies in a run's folder; its lock; whether it may be resumed
    packing     how turns lie in the journal
    journal     the truth about a run: what ended, how, and the turns of what is under way
    reader      reads the journal; makes the data set of it
    tally       numbers of a run, as they grow
    plan        what is to be done, and what of it is done
    progress    shows them
    tools       predictors and verifier, which each process that writes loads
    pool        writes samples, so many at once
    talk        what processes that share a run say to each other
    worker      a process that writes samples for another
    crew        the other one: it keeps the journal, and has workers
    synthesize  the whole job, from questions to data set

Each imports only from those above it.
"""
