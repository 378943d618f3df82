"""Real clients of `tessy serve`, unchanged: `make test-clients`, which installs them (1.5 GB).

lm-eval, inspect_ai, evalplus, and the AI SDK (npm). With the small models that ship, the accuracy
that lm-eval measures is that of `tessy eval`.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from pathlib import Path

import pytest

from commands import tessy
from scripted import lines, two_servers
from test_serve import serving

ROOT = Path(__file__).parents[2]
CLIENTS = ROOT / "examples" / "clients"
OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "OPENAI_API_KEY": "none"}
COUNT = 20
GREEDY = "\n[student.sampling]\ntemperature = 0\n\n[teacher.sampling]\ntemperature = 0\n"


def command(name: str) -> str:
    """A client's command."""
    folder = os.environ.get("TESSY_CLIENTS")
    if folder is None or not (Path(folder) / name).exists():
        pytest.skip(f"{name} is not installed: make test-clients")
    return str(Path(folder) / name)


async def run(*words: str | Path, cwd: Path = ROOT, **environment: str) -> str:
    """Run a client; returns what it printed."""
    process = await asyncio.create_subprocess_exec(
        *map(str, words),
        cwd=cwd,
        env={**os.environ, **OFFLINE, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()[-3000:]
    return out.decode()


@pytest.fixture
def greedy(tmp_path) -> Path:
    """The demo's settings, with greedy decoding."""
    file = tmp_path / "greedy.toml"
    file.write_text((ROOT / "examples" / "demo.toml").read_text() + GREEDY)
    return file


async def by_lm_eval(url: str, model: str, out: Path) -> float:
    """The accuracy that lm-eval measures on the demo's first questions."""
    args = f"model={model},base_url={url}/chat/completions,num_concurrent=4"
    await run(
        *(command("lm_eval"), "run", "--model", "local-chat-completions", "--model_args", args),
        *("--tasks", "tessy_sums", "--include_path", CLIENTS, "--apply_chat_template"),
        *("--limit", str(COUNT), "--output_path", out),
        HF_HOME=str(out.parent / "hf"),
    )
    (file,) = out.rglob("results_*.json")
    return json.loads(file.read_text())["results"]["tessy_sums"]["exact_match,last-number"]


async def by_tessy(role: str, greedy: Path, out: Path) -> float:
    """The accuracy that `tessy eval` measures on the same questions."""
    done = await tessy(
        *("eval", ROOT / "examples" / "sums.jsonl", "--out", out, "--limit", str(COUNT)),
        *("--config", greedy, "--model", f"lab:{role}", "--verify", "number"),
    )
    assert done.code == 0, done.err
    return json.loads((out / "evaluation.json").read_text())["pass_at"]["1"]["value"]


async def test_lm_eval_measures_what_tessy_measures(tmp_path, greedy):
    command("lm_eval")
    async with serving("--config", greedy, "--port", "0") as served:
        for role in ("student", "teacher"):
            theirs = await by_lm_eval(served.url, f"tessy/{role}-only", tmp_path / f"lm-{role}")
            assert theirs == await by_tessy(role, greedy, tmp_path / f"eval-{role}")
        together = await by_lm_eval(served.url, "tessy", tmp_path / "lm-pair")
    done = await tessy(
        *("synth", ROOT / "examples" / "sums.jsonl", "--out", tmp_path / "pair"),
        *("--config", greedy, "--limit", str(COUNT)),
    )
    assert done.code == 0, done.err
    verdicts = [row["verdict"]["outcome"] for row in lines(tmp_path / "pair" / "dataset.jsonl")]
    assert together == verdicts.count("right") / COUNT


async def test_inspect_sees_thinking_and_tokens(tmp_path, greedy):
    inspect = command("inspect")
    async with serving("--config", greedy, "--port", "0") as served:
        await run(
            *(
                inspect,
                "eval",
                "examples/clients/inspect_sums.py",
                "--limit",
                "8",
                "--temperature",
                "0",
            ),
            *("--model", "openai-api/tessy/tessy/teacher-only", "--display", "plain"),
            *("--log-dir", tmp_path / "logs", "--log-format", "json"),
            TESSY_API_KEY="none",
            TESSY_BASE_URL=served.url,
        )
    (file,) = (tmp_path / "logs").glob("*.json")
    log = json.loads(file.read_text())
    assert log["status"] == "success"
    assert log["results"]["scores"][0]["metrics"]["accuracy"]["value"] > 0.8
    output = log["samples"][0]["output"]
    kinds = [part["type"] for part in output["choices"][0]["message"]["content"]]
    assert kinds == ["reasoning", "text"]
    assert 0 < output["usage"]["reasoning_tokens"] < output["usage"]["output_tokens"]


async def test_evalplus_gets_programs(tmp_path, tokenizers):
    codegen = command("evalplus.codegen")
    problems = [
        {
            "task_id": f"HumanEval/{n}",
            "prompt": f'def f{n}(x):\n    """[[task {n}]] Return x + {n}."""\n',
            "entry_point": f"f{n}",
            **{"contract": "", "canonical_solution": f"    return x + {n}\n", "atol": 0},
            **{"base_input": [[1]], "plus_input": [[2]]},
        }
        for n in range(164)
    ]
    file = tmp_path / "problems.jsonl"
    file.write_text("".join(json.dumps(problem) + "\n" for problem in problems))
    async with two_servers(tokenizers) as (_, options), serving(*options, "--port", "0") as served:
        await run(
            *(codegen, "--model", "tessy", "--dataset", "humaneval", "--backend", "openai"),
            *("--base_url", served.url, "--greedy", "--root", tmp_path, "--id_range", "[0,3]"),
            HUMANEVAL_OVERRIDE_PATH=str(file),
        )
    (raw,) = tmp_path.rglob("*.raw.jsonl")
    found = lines(raw)
    assert [row["task_id"] for row in found] == ["HumanEval/0", "HumanEval/1", "HumanEval/2"]
    assert all(row["solution"].split()[-1].isdigit() for row in found), "the script's answers"


async def test_the_ai_sdk_tells_thinking_from_text(tmp_path, tokenizers):
    packages = os.environ.get("TESSY_AI_SDK")
    if packages is None or shutil.which("node") is None:
        pytest.skip("the AI SDK is not installed: make test-clients")
    script = tmp_path / "chat.mjs"
    shutil.copy(CLIENTS / script.name, script)
    (tmp_path / "node_modules").symlink_to(Path(packages).absolute() / "node_modules")
    async with two_servers(tokenizers) as (_, options), serving(*options, "--port", "0") as served:
        said = await run("node", script, served.url, "[[task 1]] What is 1 + 1?", cwd=tmp_path)
    found = json.loads(said)
    assert found["finish"] == "stop"
    assert found["reasoning"] == "".join(found["streamed"]["reasoning"])
    assert found["text"] == "".join(found["streamed"]["text"])
    assert min(len(found["streamed"]["reasoning"]), len(found["streamed"]["text"])) > 3
    assert found["usage"]["reasoningTokens"] > 0
    assert found["streamedUsage"] == found["usage"]
