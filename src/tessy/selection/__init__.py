"""Selection: the questions that are worth the teacher's time.

    settings     what is selected, and by which judge
    conditions   conditions on what was measured, such as `teacher>=0.5`; pure
    draw         draws questions, with strata or without; pure
    agreement    how well a judge agrees with what was measured; pure
    choice       which questions are kept, and why each other one is dropped; pure
    asked        the questions: read once, and checked
    measures     what evaluations and judges measured of each question
    judge        has a served model rate questions
    similar      near-duplicates among any number of questions
    writing      rows as they are, as lines of JSON or as Parquet
    job          the whole selection

Each imports only from those above it. `job.select` is what `tessy select` runs.
"""
