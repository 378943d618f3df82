"""A run on disk: its folder, its journal, and what is known of it.

    folder    the paths of a run, its lock, and whether it may go on
    journal   the truth about a run: what ended, how, and the turns of unfinished samples
    reader    reads a journal, also while the run goes on; writes the data set from it
    load      `tessy.load`: a run for Python code
    counters  numbers of a run, as they grow
    plan      what a start of a run has to do
    progress  shows the numbers in a terminal

What writes a run is in `synthesis`.
"""
