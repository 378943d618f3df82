"""Verifiers: whether an answer is right, and a sandbox for answers that are programs.

Each imports only from those above it:

    protocol       what a verifier is: Outcome, Verdict, Verifier
    columns        reading what a verifier needs from a question's columns
    extract        finding the final answer, or the program, in a response
    numbers        numbers as people and models write them
    limits         what a program may use, and how it is run
    programs       finding the program in an answer
    cases          what a program is run on, and what came of it
    suites         the tests of a question
    seccomp        system calls that a sandbox refuses
    guest          the program that runs inside a sandbox
    isolation      bubblewrap's arguments
    sandbox        running programs in isolation and within limits
    workers        sandboxes that are kept, for checks by slow libraries
    exact          the same text
    number         the same number
    choice         the same letter
    math           the same by mathematics
    gym            right by the puzzle's own scorer
    code           a program that passes its tests
    auto           each question names its own verifier
    registry       verifiers by name
    responses      reading responses, of runs and of other data sets
    judge          verifying many, and counting
    verify         the job of `tessy verify`
"""
