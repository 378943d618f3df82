"""A run's numbers, against numbers worked out by hand, and how they are shown."""

from __future__ import annotations

import asyncio
import io
from collections import Counter
from pathlib import Path

import pytest
from rich.console import Console

from tessy.method.trajectory import Failure, Outcome, Part, Role, Turn
from tessy.runs import progress
from tessy.runs.counters import RunResult, Tally
from tessy.runs.progress import Progress, Show, duration, number, percent, plain_line, summary


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def turn(role: Role, tokens: int, discarded: int = 0) -> Turn:
    return Turn(role, Part.THINKING, Outcome.WENT_ON, tokens=tokens, discarded_tokens=discarded)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def tally(clock):
    """Ten samples, two of them ended at an earlier start; 20 seconds of this one are gone."""
    made = Tally(10, finished=1, failed=Counter({Failure.REFUSED: 1}), ended_before=2, clock=clock)
    made.turn(turn(Role.STUDENT, 40, 10))
    made.turn(turn(Role.TEACHER, 100, 20))
    made.turn(turn(Role.TEACHER, 20, 30))  # it discards what was pending as well
    made.requests = 8
    made.end(None)
    made.end(None)
    made.end(None)
    made.end(Failure.REPETITION)
    made.running = 2
    clock.now += 20
    return made


def test_numbers_of_a_tally(tally):
    assert tally.ended == 6
    assert tally.finished == 4
    assert tally.seconds == 20
    assert tally.kept == {Role.STUDENT: 30, Role.TEACHER: 70}
    assert tally.teacher_share == 0.7
    assert tally.discarded_share == 60 / 160
    assert tally.tokens_a_request == 12.5
    assert tally.tokens_a_second(Role.STUDENT) == 1.5
    assert tally.tokens_a_second(Role.TEACHER) == 3.5


def test_the_time_to_go_is_at_the_pace_of_this_start(tally, clock):
    assert tally.eta_s == 20  # four ended in 20 s, four are to do
    clock.now += 10
    assert tally.eta_s == 30
    for _ in range(4):
        tally.end(None)
    assert tally.eta_s == 0


def test_a_tally_of_nothing(clock):
    tally = Tally(3, finished=2, ended_before=2, clock=clock)
    assert tally.teacher_share is None
    assert tally.discarded_share is None
    assert tally.tokens_a_request is None
    assert tally.eta_s is None
    assert tally.tokens_a_second(Role.STUDENT) == 0
    assert plain_line(tally) == (
        "2 of 3 done, 0 failed, 0 running, student 0 tokens/s, teacher 0 tokens/s, "
        "teacher share –, discarded –, – tokens a request, – to go"
    )


def test_two_tallies_share_nothing(clock):
    one, other = Tally(1, clock=clock), Tally(1, clock=clock)
    one.turn(turn(Role.STUDENT, 5))
    one.end(Failure.REFUSED)
    assert other.generated[Role.STUDENT] == 0
    assert other.ended == 0


def test_the_line_for_logs(tally):
    assert plain_line(tally) == (
        "6 of 10 done, 2 failed, 2 running, student 2 tokens/s, teacher 4 tokens/s, "
        "teacher share 70.0%, discarded 37.5%, 12.5 tokens a request, 20 s to go"
    )


# --- The summary --------------------------------------------------------------------------------


def result(tally: Tally, folder: str = "runs/first", **more) -> RunResult:
    fields = {
        "folder": Path(folder),
        "total": 10,
        "finished": 4,
        "failed": dict(tally.failed),
        "stopped": False,
        "seconds": 61.0,
        "tally": tally,
        "faults": {"student": {"server_error": 3}, "teacher": {}},
    }
    return RunResult(**{**fields, **more})


def shown(renderable, width: int = 120) -> list[str]:
    console = Console(record=True, width=width, file=io.StringIO())
    console.print(renderable)
    return [" ".join(line.split()) for line in console.export_text().splitlines()]


def test_the_summary_accounts_for_every_sample(tally):
    assert shown(summary(result(tally))) == [
        "",
        "samples 10 = 4 finished + 2 failed + 4 to do",
        "1 refused",
        "1 repetition",
        "student 30 tokens kept, 10 discarded",
        "teacher 70 tokens kept, 50 discarded",
        "teacher share 70.0%, discarded 37.5%, 12.5 tokens a request",
        "student's server faults met: 3 server_error",
        "time 1 min 01 s",
        "data set runs/first/dataset.jsonl",
        "failures runs/first/failures.jsonl",
    ]


def test_the_summary_of_a_run_in_which_nothing_failed(tally):
    lines = shown(summary(result(tally, total=12_345, finished=12_345, failed={}, faults={})))
    assert "samples 12,345 = 12,345 finished + 0 failed" in lines
    assert not any("failures" in line or "faults" in line for line in lines)


def test_the_summary_of_a_run_that_was_stopped(tally):
    assert "stopped: the same command goes on" in shown(summary(result(tally, stopped=True)))


@pytest.mark.parametrize("folder", ["runs/[bold]x[/bold]", "runs/[/red]", "runs/[1]:smile:"])
def test_a_folder_is_shown_as_it_is_named(tally, folder):
    lines = shown(summary(result(tally, folder)))
    assert f"data set {folder}/dataset.jsonl" in lines
    assert f"failures {folder}/failures.jsonl" in lines


# --- Saying it ----------------------------------------------------------------------------------


def console(terminal: bool = False) -> Console:
    return Console(file=io.StringIO(), width=200, force_terminal=terminal)


def said(by: Progress) -> str:
    assert isinstance(by.console.file, io.StringIO)
    return by.console.file.getvalue()


@pytest.mark.parametrize("terminal", [False, True])
async def test_quiet_says_nothing(tally, terminal):
    quiet = Progress(Show.QUIET, console(terminal), every_s=0)
    quiet.say("a note")
    async with quiet.watching(tally):
        await asyncio.sleep(0)
    quiet.summarise(result(tally))
    assert said(quiet) == ""


async def test_without_a_terminal_it_says_lines_and_the_last_of_them_at_the_end(tally):
    plain = Progress(Show.AUTO, console(), every_s=0)
    async with plain.watching(tally):
        for _ in range(20):
            await asyncio.sleep(0)
        assert said(plain).count("6 of 10 done") >= 2
        tally.end(None)
    assert said(plain).splitlines()[-1].startswith("7 of 10 done")
    assert "\x1b" not in said(plain)


async def test_plain_says_lines_on_a_terminal_too(tally):
    plain = Progress(Show.PLAIN, console(terminal=True))
    async with plain.watching(tally):
        pass
    assert said(plain).count("6 of 10 done") == 1


async def test_the_last_line_is_said_of_a_run_that_breaks_as_well(tally):
    plain = Progress(Show.PLAIN, console())
    with pytest.raises(RuntimeError, match="broken"):
        async with plain.watching(tally):
            raise RuntimeError("broken")
    assert said(plain).count("6 of 10 done") == 1


async def test_on_a_terminal_it_shows_a_table_that_is_drawn_anew(tally):
    live = Progress(Show.AUTO, console(terminal=True))
    async with live.watching(tally):
        tally.end(None)
    text = said(live)
    assert "7 of 10" in text
    assert "teacher share 70.0%" in text
    assert "2 running" in text
    lines = shown(progress._Panel(tally))
    assert "7 of 10 2 failed 2 running 20 s gone, 12 s to go" in lines[0]


def test_a_table_of_no_samples_at_all(clock):
    assert "0 of 0" in shown(progress._Panel(Tally(0, clock=clock)))[0]


def test_a_note_is_said_as_it_is():
    plain = Progress(Show.PLAIN, console())
    plain.say("[bold]x[/bold] and [/red] in " + "a long line " * 40)
    assert said(plain).startswith("[bold]x[/bold] and [/red] in a long")
    assert said(plain).count("\n") == 1


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (0, "0 s"),
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (60, "1 min 00 s"),
        (61, "1 min 01 s"),
        (3599, "59 min 59 s"),
        (3599.7, "1 h 00 min"),
        (3600, "1 h 00 min"),
        (7265, "2 h 01 min"),
        (100 * 3600, "100 h 00 min"),
    ],
)
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_shares_and_numbers():
    assert [percent(share) for share in (None, 0, 0.5, 1 / 3, 1)] == [
        *("–", "0.0%", "50.0%", "33.3%", "100.0%"),
    ]
    assert [number(value) for value in (None, 0, 12.34)] == ["–", "0.0", "12.3"]
