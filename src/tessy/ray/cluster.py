"""Connects to a Ray cluster, and checks its nodes before any work."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tessy._version import __version__
from tessy.errors import ConfigError, MissingExtra, Outage, install_hint
from tessy.ray.task import examine_node

_CONNECT_S = 5.0
_EXAMINE_S = 90.0
_CLIENT = "ray://"
_HOST_PORT = re.compile(r"[\w.-]+:\d+")
HERE = "ray"
"""The cluster that this machine is a node of, or that `RAY_ADDRESS` names."""


def check_address(address: str) -> None:
    """Make sure that a cluster is named.

    Raises:
        ConfigError: It is not.
    """
    if address != HERE and not address.startswith(_CLIENT):
        raise ConfigError(
            f"--on {address}: there is no such cluster",
            hint="--on ray for the cluster of this machine, or --on ray://HOST:10001",
        )


def import_ray() -> Any:
    """The package.

    Raises:
        MissingExtra: It is not installed.
    """
    try:
        import ray
    except ImportError:
        raise MissingExtra("a run on a Ray cluster needs `ray`", hint=install_hint("ray")) from None
    return ray


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """Connect to a cluster, unless this process is connected already.

    Yields:
        The package `ray`.

    Raises:
        ConfigError: `address` names no cluster.
        Outage: The cluster is not there.
        MissingExtra: Ray is not installed.
    """
    check_address(address)
    ray = import_ray()
    if ray.is_initialized():
        yield ray
        return
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        ray.init(
            address=_answering(address) if address != HERE else _own_cluster(),
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except (ConnectionError, TimeoutError, RuntimeError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise Outage(
            f"--on {address}: no Ray cluster answers: {first}",
            hint="ray start --head on one node, ray start --address=… on the others; "
            "ray status shows whether it is there",
        ) from None
    try:
        yield ray
    finally:
        ray.shutdown()


def _own_cluster() -> str:
    """The address of this machine's cluster, if it takes connections: Ray itself waits for minutes.

    Raises:
        ConnectionError: It takes none.
    """
    known = os.environ.get("RAY_ADDRESS", "")
    with suppress(OSError):
        folder = Path(os.environ.get("RAY_TMPDIR", "/tmp")) / "ray"
        known = known or (folder / "ray_current_cluster").read_text().strip()
    if _HOST_PORT.fullmatch(known):
        _answering(f"tcp://{known}")
    return known or "auto"


def _answering(address: str) -> str:
    """The address, if its port takes connections: Ray's own client waits for minutes.

    Raises:
        ConnectionError: It does not.
    """
    import socket

    parts = urlsplit(address)
    try:
        place = (parts.hostname or "", parts.port or 10001)
    except ValueError as error:
        raise ConfigError(f"--on {address}: {error}", hint="--on ray://HOST:10001") from None
    try:
        socket.create_connection(place, _CONNECT_S).close()
    except OSError as error:
        raise ConnectionError(f"{place[0]}:{place[1]}: {error.strerror or error}") from None
    return address


def slots(ray: Any, cpus: float) -> int:
    """How many shards the cluster can write at once.

    Args:
        ray: The package.
        cpus: The cores that a shard takes.

    Raises:
        ConfigError: No node has so many cores.
    """
    found = [node["Resources"].get("CPU", 0.0) for node in ray.nodes() if node["Alive"]]
    count: int = sum(math.floor(each / cpus) for each in found)
    if not count:
        raise ConfigError(
            f"--shard-cpus {cpus:g}: no node of the cluster has so many cores (the largest has "
            f"{max(found, default=0):g})",
            hint="give a smaller number",
        )
    return count


async def check_nodes(ray: Any, cpus: float, out: str, identity: str | None) -> None:
    """Make sure that each node has this version of tessy, and sees the run's folder.

    Args:
        ray: The package.
        cpus: The cores that a shard takes; nodes with fewer are not asked.
        out: The run's folder.
        identity: What its `run.toml` must say; None if the folder need not be seen.

    Raises:
        ConfigError: A node has not; the message names it.
    """
    nodes = [
        node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0.0) >= cpus
    ]
    examine = ray.remote(examine_node)
    strategy = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy
    names = [node["NodeManagerAddress"] for node in nodes]  # there may be several of one address
    asked = [
        examine.options(
            num_cpus=0, max_retries=1, scheduling_strategy=strategy(node["NodeID"], soft=False)
        ).remote(out, identity)
        for node in nodes
    ]
    answers = await asyncio.gather(*map(partial(_answer, ray), names, asked))
    for name, found in zip(names, answers, strict=True):
        if found is not None:
            _check(name, found, out)
    if not any(answers):
        raise Outage("no node of the cluster answers", hint="ray status shows the nodes")


async def _answer(ray: Any, name: str, ref: Any) -> Mapping[str, Any] | None:
    """What a node says; None if it has just died.

    Raises:
        ConfigError: It has no tessy.
        Outage: It does not answer.
    """
    gone = (ray.exceptions.TaskUnschedulableError, ray.exceptions.NodeDiedError)
    try:
        found: Mapping[str, Any] = await asyncio.to_thread(ray.get, ref, timeout=_EXAMINE_S)
    except ray.exceptions.GetTimeoutError:
        raise Outage(
            f"node {name} does not answer within {_EXAMINE_S:g} s",
            hint="ray status shows whether it is there",
        ) from None
    except gone:
        return None
    except ray.exceptions.RayError as error:
        if "No module named 'tessy'" in str(error):
            raise ConfigError(
                f"node {name} has no tessy", hint=f"install tessy {__version__} there"
            ) from None
        said = str(error).strip().splitlines()
        raise Outage(
            f"node {name} can't run a task: {said[-1] if said else error!r}",
            hint="ray status shows whether it is there",
        ) from None
    return found


def _check(name: str, found: Mapping[str, Any], out: str) -> None:
    if found["version"] != __version__:
        raise ConfigError(
            f"node {name} has tessy {found['version']}, and this is {__version__}",
            hint=f"install tessy {__version__} there",
        )
    if not found["seen"]:
        raise ConfigError(
            f"node {name} does not see the run's folder {out}",
            hint="give an --out that all nodes share, or a URL such as s3://BUCKET/RUN",
        )
