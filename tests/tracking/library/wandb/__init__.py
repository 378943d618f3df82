"""A stand-in for W&B's library: it writes down what it is told, and breaks if TROUBLE says how."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path

TROUBLE = os.environ.get("TROUBLE")


class Error(Exception):
    pass


class Settings:
    def __init__(self, **_):
        self.sync_dir = "wandb/offline-run"


def note(**said):
    with Path(os.environ["WRITTEN_DOWN"]).open("a") as file:
        file.write(json.dumps(said) + "\n")


def init(*, mode=None, config, settings, **asked):
    print("a library prints to standard output")
    if TROUBLE == "dies":
        os._exit(9)
    if TROUBLE == "hangs at its start":
        time.sleep(600)
    if TROUBLE == "no login" and mode != "offline":
        raise Error("No API key\nconfigured")
    note(init=asked, mode=mode, config=config)
    return Run(settings, mode)


class Run:
    def __init__(self, settings, mode):
        self.settings, self.summary = settings, {}
        self.url = None if mode == "offline" else "https://wandb.test/run"

    def define_metric(self, name, *, step_metric):
        note(metric=name, by=step_metric)

    def log(self, figures):
        if TROUBLE == "fails":
            raise ValueError("not taken")
        note(log=figures)

    def finish(self, *, exit_code):
        note(finish=exit_code, summary=self.summary)
        if TROUBLE == "hangs at its end":
            note(pid=subprocess.Popen(["sleep", "600"]).pid)  # as W&B has a process of its own
            time.sleep(600)
