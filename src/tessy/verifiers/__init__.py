"""Verifiers: whether an answer is right, and a sandbox for answers that are programs.

    protocol           what a verifier is: Verifier, Verdict, VerdictOutcome; questions' columns
    extract            finding the final answer in a response
    numerals           numbers in texts
    limits             what a program may use, and how it is run
    sandbox_seccomp    system calls that a sandbox refuses
    sandbox_isolation  bubblewrap's arguments
    sandbox_calls      tests that call an answer's functions: the talk of two sandboxes
    sandbox_guest      the program that runs inside a sandbox
    sandbox            running programs in isolation and within limits
    code_programs      finding the program in an answer
    code_tests         the tests of a question
    code_cpp           programs in C++
    code               `code`: a program that passes its tests
    workers            processes that are kept: checks by slow libraries, reading long answers
    reference          verifiers that compare the answer's text with a reference
    exact              `exact`: the same text
    number             `number`: the same number
    choice             `choice`: the same choice
    math_expressions   mathematics in answers
    math_equality      the program that compares expressions, inside a process
    math               `math`: equal by mathematics
    gym_scores         the program that scores puzzles, inside a sandbox
    gym                `reasoning-gym`: right by the puzzle's own scorer
    registry           verifiers by name; `auto`, with which each question names its own
    responses          reading responses, of runs and of other data sets
    verify             verifying many, and counting

Each imports only from those above it. `verify.verify` is what `tessy verify` runs.
"""
