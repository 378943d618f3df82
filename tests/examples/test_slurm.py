"""The Slurm example, run for real; `sbatch`, `scontrol`, `vllm`, `curl` and `tessy` are stubs."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SLURM = Path(__file__).parents[2] / "examples" / "slurm"
SCRIPTS = sorted(SLURM.glob("*.s*"))
PORTS = ["10080", "10081", "10082"]  # by the job id

STUBS = {
    # Serves when it is told to, until it is stopped; notes what it does.
    "vllm": """
        port=$(sed 's/.*--port \\([0-9]*\\).*/\\1/' <<<"$*")
        echo "serve $port $2 $CUDA_VISIBLE_DEVICES" >>"$STUB/log"
        [[ ! -e $STUB/dies ]] || exit 1
        if [[ -e $STUB/stubborn ]]; then trap '' TERM; else
          trap 'rm "$STUB/up-$port"; echo "down $port" >>"$STUB/log"; exit' TERM
        fi
        [[ -e $STUB/silent ]] || touch "$STUB/up-$port"
        while [[ -d $STUB ]]; do sleep 0.02; done""",
    "curl": """
        port=$(sed 's|.*http://127.0.0.1:\\([0-9]*\\)/health$|\\1|' <<<"$*")
        [[ -e $STUB/up-$port ]]""",
    # Ends with the code in `tessy-exit`; without one, writes until it is stopped.
    "tessy": """
        echo "tessy $* with $(cd "$STUB" && ls | grep -c ^up-) servers" >>"$STUB/log"
        trap 'sleep 0.1; echo "tessy stopped" >>"$STUB/log"; exit 130' TERM
        [[ ! -e $STUB/tessy-exit ]] || exit "$(<"$STUB/tessy-exit")"
        echo "tessy writes" >>"$STUB/log"
        while [[ -d $STUB ]]; do sleep 0.02; done""",
    "scontrol": 'echo "scontrol $*" >>"$STUB/log"',
    # Runs all tasks of an array, one after the other; a dependent job only if they all ended well.
    "sbatch": """
        echo "sbatch $*" >>"$STUB/log"
        options=()
        while [[ $1 == --* ]]; do options+=("$1"); shift; done
        script=$1; shift
        if [[ ${options[*]} =~ --array=0-([0-9]+) ]]; then
          echo "17;cluster"
          export SLURM_ARRAY_JOB_ID=17 SLURM_ARRAY_TASK_ID
          for SLURM_ARRAY_TASK_ID in $(seq 0 "${BASH_REMATCH[1]}"); do
            export SLURM_JOB_ID=$((17 + SLURM_ARRAY_TASK_ID))
            bash "$script" "$@" >&2 || touch "$STUB/bad"
          done
        elif [[ ${options[*]} != *afterok:17* || ! -e $STUB/bad ]]; then
          bash "$script" "$@"
        fi""",
}


@pytest.fixture
def slurm(tmp_path):
    """A folder with the stubs' notes, and the environment of a task of an array."""
    bin_, stub = tmp_path / "bin", tmp_path / "stub"
    bin_.mkdir()
    stub.mkdir()
    for name, text in STUBS.items():
        (bin_ / name).write_text(f"#!/bin/bash\n{text}\n")
        (bin_ / name).chmod(0o755)
    (stub / "log").touch()
    env = {
        **{name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"},
        "PATH": f"{bin_}:{os.environ['PATH']}",
        "STUB": str(stub),
        "LOGS": str(tmp_path),
        "POLL_S": "0.02",
        "SLURM_ARRAY_JOB_ID": "17",
        "SLURM_JOB_ID": "20",
        "SLURM_ARRAY_TASK_ID": "3",
    }
    yield stub, env
    shutil.rmtree(stub)  # what a stub still does, ends


def start(env, **more):
    command = ["bash", SLURM / "shard.sbatch", "questions.jsonl", "runs/first", "run.toml", "8"]
    return subprocess.Popen(
        command, env={**env, **more}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def notes(stub) -> list[str]:
    return (stub / "log").read_text().splitlines()


def until(stub, line, process):
    """Wait until a stub has noted a line."""
    ends = time.monotonic() + 60
    while line not in notes(stub):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < ends, notes(stub)
        time.sleep(0.01)


def servers_stopped(noted):
    return sorted(line.split()[1] for line in noted if line.startswith("down")) == PORTS


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_pass_bash_and_shellcheck(script):
    assert subprocess.run(["bash", "-n", script]).returncode == 0
    shellcheck = shutil.which("shellcheck", path=f"{Path(sys.executable).parent}:{os.defpath}")
    if shellcheck is None:
        pytest.skip("no shellcheck: its wheel brings none for this machine")
    found = subprocess.run([shellcheck, "--shell=bash", script], capture_output=True, text=True)
    assert found.returncode == 0, found.stdout


@pytest.mark.parametrize("code", [0, 2, 3])
def test_servers_run_before_tessy_and_are_stopped_after_it_however_it_ends(slurm, code):
    stub, env = slurm
    (stub / "tessy-exit").write_text(str(code))
    process = start(env)
    assert process.wait(60) == code
    noted = notes(stub)
    at = next(at for at, line in enumerate(noted) if line.startswith("tessy"))
    assert noted[at].endswith("with 3 servers")
    assert "--shard 3/8 " in noted[at]
    assert sorted(line.split()[1] for line in noted[:at]) == PORTS
    assert servers_stopped(noted[at + 1 :])
    assert len(noted) == 7  # and nothing is queued again


def test_each_server_has_gpus_of_its_own_and_tessy_all_urls_by_role(slurm):
    stub, env = slurm
    (stub / "tessy-exit").write_text("0")
    assert start(env, CUDA_VISIBLE_DEVICES="4,5,6,7").wait(60) == 0
    noted = notes(stub)
    served = dict(re.match(r"serve (\d+) (\S+ \S+)", line).groups() for line in noted[:3])
    assert served == {
        "10080": "Qwen/Qwen3-8B 4",
        "10081": "Qwen/Qwen3-8B 5",
        "10082": "openai/gpt-oss-120b 6,7",
    }
    student, more, teacher = (f"http://127.0.0.1:{port}/v1" for port in PORTS)
    assert f"--student {student},{more} --teacher {teacher} " in noted[3]


@pytest.mark.parametrize("sent", [signal.SIGUSR1, signal.SIGTERM])
def test_a_signal_stops_tessy_then_the_servers_and_only_time_queues_again(slurm, sent):
    stub, env = slurm
    process = start(env)
    until(stub, "tessy writes", process)
    process.send_signal(sent)
    assert process.wait(60) == 130
    noted = notes(stub)
    after = noted[noted.index("tessy writes") + 1 :]
    assert after[0] == "tessy stopped"
    assert servers_stopped(after[1:4])
    assert after[4:] == (["scontrol requeue 17_3"] if sent is signal.SIGUSR1 else [])

    (stub / "tessy-exit").write_text("0")  # the task again
    assert start(env).wait(60) == 0


def test_a_signal_while_servers_start_stops_them(slurm):
    stub, env = slurm
    (stub / "silent").touch()
    process = start(env)
    until(stub, "serve 10082 openai/gpt-oss-120b 2,3", process)
    process.send_signal(signal.SIGUSR1)
    assert process.wait(60) == 130
    assert not any(line.startswith("tessy") for line in notes(stub))
    assert notes(stub)[-1] == "scontrol requeue 17_3"


@pytest.mark.parametrize(
    ("how", "patience_s", "said"), [("dies", "60", "ended"), ("silent", "1", "does not answer")]
)
def test_a_server_that_does_not_come_up_is_named_and_no_tessy_starts(slurm, how, patience_s, said):
    stub, env = slurm
    (stub / how).touch()
    process = start(env, START_S=patience_s)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert f"the server of port 10080 {said}" in out
    assert not any(line.startswith("tessy") for line in notes(stub))


def test_a_server_that_does_not_stop_is_killed(slurm):
    stub, env = slurm
    (stub / "stubborn").touch()
    (stub / "tessy-exit").write_text("0")
    process = start(env, STOP_S="0.1")
    out, _ = process.communicate(timeout=60)  # its output ends when all that it started has ended
    assert process.returncode == 0, out


@pytest.mark.parametrize("code", [0, 1])
def test_submit_gives_each_shard_a_task_and_merges_when_all_ended_well(slurm, code):
    stub, env = slurm
    (stub / "tessy-exit").write_text(str(code))
    command = [SLURM / "submit.sh", "questions.jsonl", "runs/first", "run.toml", "2"]
    subprocess.run(command, env=env, check=code == 0, stdout=subprocess.DEVNULL, timeout=60)
    noted = notes(stub)
    assert noted[0].startswith("sbatch --parsable --array=0-1%2 ")
    shards = [found[0] for line in noted if (found := re.findall(r"--shard (\S+)", line))]
    assert shards == ["0/2", "1/2"]
    merged = [line for line in noted if line.startswith("tessy merge runs/first ")]
    assert len(merged) == (1 if code == 0 else 0)
