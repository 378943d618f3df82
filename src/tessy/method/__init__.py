"""The method (paper, section 2.2 and Algorithm 1) as pure decisions. No I/O, no clock, no torch.

    words       words, the units that a seam between two authors never splits
    trajectory  what is written, and by whom: the fold of its turns
    judgement   a question to a boundary predictor, and its answer
    turns       what to keep of a chunk, and who writes next
    judging     what is known of a span so far; leaves short spans with their writer
    reading     what to judge of a span while it is written, and when
    arriving    text that is certain to stay, of what a model is still writing
    chunks      chunk sizes learned from timings, for servers that can't stop a stream
    repetition  detects text that repeats itself

Each imports only from those above it. docs/method.md explains the rules and the invariants.
"""
