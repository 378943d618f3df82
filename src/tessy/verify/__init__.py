"""Verifiers: whether an answer is right, and a sandbox for answers that are programs.

Each imports only from those above it:

    protocol       what a verifier is: Outcome, Verdict, Verifier
    columns        reading what a verifier needs from a question's columns
    extract        finding the final answer, or the program, in a response
    numbers        numbers as people and models write them
    limits         what a program may use, and how it is run
    exact          the same text
    number         the same number
    choice         the same letter
    auto           each question names its own verifier
    registry       verifiers by name
"""
