"""Evaluation: how many questions a model answers correctly, with what certainty, at what length.

    estimate    means and pass@k with bootstrap intervals; pure
    measure     from samples to scores; pure
    settings    the settings of a run in which one model writes everything
    evaluate    the job: that run, then its scores

Each imports only from those above it.
"""
