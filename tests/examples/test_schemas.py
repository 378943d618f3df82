"""The examples for Kubernetes and SkyPilot are what their schemas accept."""

from __future__ import annotations

import copy
import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

EXAMPLES = Path(__file__).parents[2] / "examples"
KUBERNETES = {
    path.stem: yaml.safe_load(path.read_text(encoding="utf-8"))
    for path in (EXAMPLES / "kubernetes").glob("*.yaml")
}
SKYPILOT = EXAMPLES / "skypilot" / "tessy.yaml"
_CHECK = """
import sys, sky
task = sky.Task.from_yaml(sys.argv[1])
print(task.num_nodes, *(next(iter(task.resources)).accelerators or {}).items())
"""


@pytest.mark.parametrize("name", KUBERNETES)
def test_kubernetes_accepts_the_jobs(name):
    kubernetes = pytest.importorskip("kubernetes_validate")
    kubernetes.validate(KUBERNETES[name], "1.33", strict=True)


def test_kubernetes_refuses_a_field_that_it_does_not_have():
    kubernetes = pytest.importorskip("kubernetes_validate")
    wrong = copy.deepcopy(KUBERNETES["shards"])
    wrong["spec"]["template"]["spec"]["initContainers"][0]["restart"] = "Always"
    with pytest.raises(kubernetes.ValidationError, match="restart"):
        kubernetes.validate(wrong, "1.33", strict=True)


def test_each_pod_writes_a_shard_of_its_own_with_servers_of_its_own():
    spec = KUBERNETES["shards"]["spec"]
    pod = spec["template"]["spec"]
    (tessy,) = pod["containers"]
    assert f"--shard=$(SHARD)/{spec['completions']}" in tessy["args"]
    assert [each["name"] for each in tessy["env"]] == ["SHARD"]
    for server in pod["initContainers"]:  # sidecars, up before tessy
        assert server["restartPolicy"] == "Always"
        port = server["startupProbe"]["httpGet"]["port"]
        assert f"--port={port}" in server["args"]
        assert f"--{server['name']}=http://localhost:{port}/v1" in tessy["args"]


def test_skypilots_script_is_bash_and_uses_what_it_sets():
    task = yaml.safe_load(SKYPILOT.read_text(encoding="utf-8"))
    for part in ("setup", "run"):
        assert subprocess.run(["bash", "-n"], input=task[part], text=True).returncode == 0
    used = set(re.findall(r"\$\{?([A-Z][A-Z_]+)", task["run"]))
    assert used == {*task["envs"]}


def test_skypilot_accepts_the_task():
    """`TESSY_SKYPILOT` is the Python of an environment of SkyPilot, which wants an older click."""
    python = os.environ.get("TESSY_SKYPILOT")
    if not python:
        pytest.skip("TESSY_SKYPILOT names no Python with SkyPilot")
    task = subprocess.run(
        [python, "-c", _CHECK, SKYPILOT], cwd=EXAMPLES.parent, capture_output=True, text=True
    )
    assert task.returncode == 0, task.stderr
    assert task.stdout.split()[0] == "16"
