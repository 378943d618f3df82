"""The model on paper agrees with its page and with itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.scale_model import TEACHER, World, assumptions, places, rows, run, table

PAGE = (Path(__file__).parents[2] / "docs" / "scale.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("lines", [table(World()), assumptions()], ids=["table", "assumptions"])
def test_the_page_shows_what_the_script_prints(lines):
    assert "\n".join(lines) in PAGE


@pytest.mark.parametrize("world", [each for _, each in rows(World())])
def test_no_part_does_more_than_it_can(world):
    found = run(world)
    assert found.at_once <= places(world, TEACHER, world.nodes * world.teachers)
    assert max(found.student.engine_cores, found.teacher.engine_cores) <= 1
    assert found.hours * 3600 * found.requests_s == pytest.approx(world.questions * world.spans)


def test_with_as_many_sequences_and_servers_a_question_costs_the_same():
    double = replace(World(), questions=160_000, nodes=16)
    assert run(double).hours == pytest.approx(run(World()).hours)


def test_more_at_once_is_faster_but_each_is_slower():
    few, many = (run(World(), at_once) for at_once in (100, 1000))
    assert many.hours < few.hours
    assert many.trajectory_s > few.trajectory_s
