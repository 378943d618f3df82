"""For all tests."""

import os

from hypothesis import settings

pytest_plugins = ["browser", "stand_in"]

# Two workers with a pool of threads each on two cores would wait for each other most of the time.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Before huggingface_hub is imported: no test needs the hub, and one that names what is not there
# must not wait for a network.
os.environ.setdefault("HF_HUB_OFFLINE", "1")

# A busy machine is no failure: timings belong in benchmarks.
settings.register_profile("tessy", deadline=None)
settings.load_profile("tessy")
