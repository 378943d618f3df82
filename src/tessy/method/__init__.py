"""The method (paper, section 2.2 and Algorithm 1) as pure decisions. No I/O, no clock, no torch.

    words       words: the units that a seam between two authors never splits
    trajectory  what is written, and by whom: the fold of its turns
    judgement   what a boundary predictor is asked, and what it answers
    turns       what to keep of a chunk, and who goes next
    reading     a span while it is still written: what to judge when
    chunks      chunk sizes that learn, for servers that can't be left
    repetition  notices that a text repeats itself

Each imports only from those above it. docs/method.md explains the rules and the invariants.
"""
