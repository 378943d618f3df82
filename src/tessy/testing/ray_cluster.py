"""A real Ray cluster of three nodes on this machine, in a process of its own.

`python -m tessy.testing.ray_cluster NODES CPUS` prints the cluster's address, then does what lines
of its input say: `kill` a node without grace, or `add` one. It ends with its input.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_ENVIRONMENT = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # or Ray takes 127.0.0.1 for another address
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_health_check_initial_delay_ms": "500",  # a dead node is noticed sooner
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_failure_threshold": "3",
}


class RayCluster:
    """A head node, which runs no shard, and nodes that do.

    Args:
        process: Of this file, as a script.
        variables: Of its environment.
    """

    def __init__(self, process: subprocess.Popen[str], variables: dict[str, str]) -> None:
        self._process = process
        self._variables = variables
        self._answered()
        self.address = self._answer

    @property
    def environment(self) -> dict[str, str]:
        """What a driver's environment says."""
        return {**_ENVIRONMENT, **self._variables, "RAY_ADDRESS": self.address}

    def kill_node(self) -> None:
        """Kill a node without grace, with all that runs there."""
        self._do("kill")

    def add_node(self) -> None:
        """Start another node."""
        self._do("add")

    def _do(self, what: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(what + "\n")
        self._process.stdin.flush()
        self._answered()

    def _answered(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("done"):
                self._answer = line.removeprefix("done").strip()
                return
        raise RuntimeError(f"the cluster ended with {self._process.wait()}")


@contextmanager
def ray_cluster(nodes: int = 2, cpus: int = 1, **variables: str) -> Iterator[RayCluster]:
    """A cluster; what runs there has the environment of this process, and more variables."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tessy.testing.ray_cluster", str(nodes), str(cpus)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, **_ENVIRONMENT, **variables},
    )
    try:
        yield RayCluster(process, variables)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(60)


def _serve(count: int, cpus: int) -> None:
    from ray.cluster_utils import Cluster

    node = {"node_ip_address": "127.0.0.1", "object_store_memory": 80 << 20}
    head = {"num_cpus": 0, "include_dashboard": False, **node}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    nodes = [cluster.add_node(num_cpus=cpus, **node) for _ in range(count)]
    print("done", cluster.address, flush=True)
    for line in sys.stdin:
        if line.strip() == "kill":
            cluster.remove_node(nodes.pop(0), allow_graceful=False)
        else:
            nodes.append(cluster.add_node(num_cpus=cpus, **node))
        print("done", flush=True)
    cluster.shutdown()


if __name__ == "__main__":
    _serve(int(sys.argv[1]), int(sys.argv[2]))
