"""Evaluation: how many questions a model answers rightly, with what certainty, at what length.

    estimate    estimates of means and of pass@k, with intervals; pure
    measure     from what became of each sample to an evaluation; pure
    collect     what became of each sample, from a run's journal
    settings    those of a run in which one model writes everything
    evaluate    the whole job: a run in which one model writes everything, then its numbers

Each imports only from those above it.
"""
