"""Evaluation: how many questions a model answers correctly; what a run will cost, and is worth.

    estimate    means and pass@k with their intervals; pure
    measure     from samples to scores; pure
    settings    the settings of a run in which one model writes everything
    evaluate    the job: that run, then its scores
    cost        what a run will cost, from figures about one trajectory; pure
    dry_run     `tessy synth --dry-run`: these figures, measured
    told        what it found, in words
    canary      `tessy synth --canary`: the first samples, beside the teacher alone

Each imports only from those above it.
"""
