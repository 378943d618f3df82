"""Hostile programs in the real sandbox: they see nothing, and harm nothing."""

from __future__ import annotations

import platform
import socket
import sys
import sysconfig
from contextlib import closing
from pathlib import Path

import hostile
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sandboxed import one

from tessy.errors import SandboxError
from tessy.verifiers import sandbox_isolation, sandbox_seccomp
from tessy.verifiers.sandbox import ProgramTest
from tessy.verifiers.sandbox_seccomp import filter_for


async def test_there_is_no_network_not_even_this_machines(sandbox):
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = str(server.getsockname()[1])
        run = await one(sandbox, hostile.NETWORK.replace("PORT", port))
    assert run.output == "refused refused refused unknown\n"


async def test_folders_of_the_system_and_of_users_are_not_there(sandbox, tmp_path, monkeypatch):
    program = hostile.LISTS.replace("HOME", repr(str(Path.home())))
    run = await one(sandbox, program)
    for line in run.output.splitlines():
        path, seen = line.split(" ", 1)
        below = {folder.parts for folder in sandbox_isolation.interpreter().folders}
        is_on_the_way = any(parts[: len(Path(path).parts)] == Path(path).parts for parts in below)
        assert seen == "FileNotFoundError" or is_on_the_way, line
    for path in ("/etc/passwd", "/etc/shadow", "/proc/1/root/etc/passwd", __file__):
        run = await one(sandbox, f"print(open({path!r}).read())")
        assert run.code == 1, path
        assert not run.output


async def test_the_environment_is_not_ours(sandbox, monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "tell-nobody")
    look = "import os\nprint(os.environ, open('/proc/self/environ').read())"
    run = await one(sandbox, look)
    assert run.is_clean, run.errors
    assert "tell-nobody" not in run.output
    assert "SECRET_KEY" not in run.output


async def test_nothing_but_its_own_folder_can_be_written(sandbox):
    program = hostile.WRITES.replace("STDLIB", repr(sysconfig.get_path("stdlib")))
    assert (await one(sandbox, program)).output == "done\n"


async def test_links_lead_nowhere(sandbox, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("tell-nobody")
    run = await one(sandbox, hostile.LINKS.replace("SECRET", repr(str(secret))))
    assert run.output == "done\n", run.errors


async def test_the_guest_can_not_be_killed_read_or_traced(sandbox):
    run = await one(sandbox, hostile.KILLS_ITS_PARENT, "alive\n")
    assert run.output == "alive\n", run.errors
    assert (await one(sandbox, hostile.LOOKS_AT_THE_GUEST)).output == "done\n"


async def test_a_report_can_not_be_forged(sandbox):
    runs = await sandbox.run(hostile.FORGES, [ProgramTest(), ProgramTest()])
    assert [run.output for run in runs] == ["wrong\n", "wrong\n"]


@pytest.mark.skipif(filter_for(platform.machine()) is None, reason="no filter for this machine")
async def test_privileges_can_not_be_had(sandbox):
    run = await one(sandbox, hostile.PRIVILEGES)
    assert run.is_clean, run.errors
    assert "False" not in run.output


@pytest.mark.skipif(filter_for(platform.machine()) is None, reason="no filter for this machine")
async def test_each_rule_of_the_filter_holds(sandbox):
    column = ("x86_64", "aarch64", "riscv64").index(platform.machine()) > 0
    numbers = {name: both[column] for name, both in sandbox_seccomp._REFUSED.items()}
    run = await one(sandbox, hostile.SYSTEM_CALLS.replace("NUMBERS", repr(numbers)))
    assert (run.output, run.errors) == ("", "")
    run = await one(sandbox, hostile.REFUSED)
    assert "False" not in run.output, run
    assert "families [1]\n" in run.output
    assert run.is_clean, run.errors
    run = await one(sandbox, hostile.ALLOWED)
    assert run.output == "True\n", run.errors


def test_home_is_never_shown(monkeypatch):
    monkeypatch.setattr(sys, "base_prefix", str(Path.home()))
    with pytest.raises(SandboxError, match="home folder"):
        sandbox_isolation.interpreter()


@given(st.lists(st.sampled_from(["/opt/a", "/tmp/a/site", "/tmp", "/tmpx/b", "/srv"]), unique=True))
def test_no_folder_of_packages_is_seen_where_the_program_has_its_own(folders):
    seen = sandbox_isolation.seen_at([Path(folder) for folder in folders])
    assert len(set(seen)) == len(folders)
    for folder, place in zip(folders, seen, strict=True):
        assert not place.is_relative_to("/tmp")
        assert place == Path(folder) or folder == "/tmp" or folder.startswith("/tmp/")
