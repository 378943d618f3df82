"""Logging the figures of runs and trainings to W&B, MLflow or TensorBoard (`--log-to`).

Each tracker is a process of its own, so nothing that its library prints, breaks or waits for
reaches the run. Figures go to it through a pipe that is never waited for; at the end it has some
seconds to write the rest.

    log         in the run's process: starts trackers, tells them figures, ends them
    trackers    in a tracker's process: the three trackers
"""
