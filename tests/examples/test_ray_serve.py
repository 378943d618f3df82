"""The Ray Serve example is what Ray's own schemas accept."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path

import pytest
import yaml

pytest.importorskip("ray")
pytest.importorskip("starlette", reason="ray[serve] is not installed")

with warnings.catch_warnings(action="ignore"):  # Ray's own, of pydantic's deprecated ways
    # `ray.serve.llm` has this class too, but can't be imported without vLLM.
    from ray.llm._internal.serve.core.configs.llm_config import LLMConfig
    from ray.serve._private.constants import SERVE_SESSION_ID
    from ray.serve.config import RequestRouterConfig
    from ray.serve.experimental.consistent_hash_router import ConsistentHashRouter
    from ray.serve.schema import ServeDeploySchema

SERVE = yaml.safe_load(
    (Path(__file__).parents[2] / "examples" / "ray" / "serve.yaml").read_text(encoding="utf-8")
)


def configs() -> dict[str, dict]:
    return {
        app["name"]: config
        for app in copy.deepcopy(SERVE)["applications"]
        for config in app["args"]["llm_configs"]
    }


def test_ray_accepts_the_deployments():
    deploy = ServeDeploySchema.model_validate(SERVE)
    assert [app.route_prefix for app in deploy.applications] == ["/student", "/teacher"]
    assert deploy.proxy_location == "EveryNode"


@pytest.mark.parametrize(
    ("role", "model", "gpus"),
    [("student", "Qwen/Qwen3-8B", 1), ("teacher", "openai/gpt-oss-120b", 2)],
)
def test_ray_accepts_each_model(role, model, gpus):
    config = LLMConfig.model_validate(configs()[role])
    assert config.model_id == model
    assert config.engine_kwargs.get("tensor_parallel_size", 1) == gpus
    assert config.engine_kwargs["max_model_len"] >= 40_000
    assert config.experimental_configs["stream_batching_interval_ms"] == 0


@pytest.mark.parametrize("role", ["student", "teacher"])
def test_requests_of_a_session_go_to_one_replica(role):
    router = configs()[role]["deployment_config"]["request_router_config"]
    config = RequestRouterConfig.model_validate(router)
    assert config.get_request_router_class() is ConsistentHashRouter
    assert SERVE_SESSION_ID == "x-session-id"  # the header that tessy sends


@pytest.mark.parametrize(
    "wrong", [{"engine_kwargs": 3}, {"deployment_config": {"num_replicas": -1}}]
)
def test_ray_refuses_a_model_that_is_wrong(wrong):
    with pytest.raises(ValueError):
        LLMConfig.model_validate(configs()["student"] | wrong)


def test_ray_refuses_an_application_that_is_wrong():
    wrong = copy.deepcopy(SERVE)
    wrong["applications"][1]["route_prefix"] = "/student"  # both at one address
    with pytest.raises(ValueError):
        ServeDeploySchema.model_validate(wrong)
