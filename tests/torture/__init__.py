"""`make torture`: hostile conditions by the hundred, and what held (docs/reliability.md).

    kills      runs that are killed or stopped again and again, on servers that fail
    servers    model servers that answer what no server should
    texts      questions, model text and templates that look like control tokens, markup or code
    verdicts   forged answers, and answers that are hard to read
    folders    files and run folders of strangers
    fuzz       random bytes for every reader (`make fuzz`, by time)

The cases are those of the tests, which have one test each; here they are run together and counted.
"""
