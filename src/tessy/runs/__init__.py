"""Runs: many samples, a folder, and a way back after every crash.

    folder      what lies in a run's folder; its lock; whether it may be resumed
    journal     the truth about a run: what ended, how, and the turns of what is under way
    tally       numbers of a run, as they grow
    progress    shows them
    pool        writes samples, so many at once
    synthesize  the whole job, from questions to data set

Each imports only from those above it.
"""
