"""`make demo` tells the story: the very script, from the repository, with the pair that ships."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

from e2e.conftest import lines

ROOT = Path(__file__).parent.parent.parent


async def test_the_demo_shows_that_two_write_better_than_the_student_alone(tmp_path):
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "examples/demo.py", str(tmp_path / "demo")),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out = (await process.communicate())[0].decode()
    assert process.returncode == 0, out
    said = re.findall(r"^ +(student|teacher|together).* ([\d.]+)% right", out, re.MULTILINE)
    right = {who: float(share) for who, share in said}
    assert right["student"] < right["together"] <= right["teacher"], out
    records = lines(tmp_path / "demo" / "together" / "dataset.jsonl")
    assert len(records) >= 35
    assert "⟨teacher⟩" in out
    assert (tmp_path / "demo" / "together" / "report.html").is_file()
