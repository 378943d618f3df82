"""For all tests."""

import os

# Two workers with a pool of threads each on two cores would wait for each other most of the time.
os.environ.setdefault("OMP_NUM_THREADS", "1")
