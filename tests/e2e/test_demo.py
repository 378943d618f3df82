"""`make demo`: the very script, with the pair that ships."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from scripted import lines

ROOT = Path(__file__).parent.parent.parent


def test_the_demo_shows_that_two_write_better_than_the_student_alone(tmp_path):
    command = [sys.executable, "examples/demo.py", tmp_path / "demo"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    said = re.findall(r"^ +(student|teacher|together).* ([\d.]+)% right", done.stdout, re.MULTILINE)
    right = {who: float(share) for who, share in said}
    assert right["student"] < right["together"] <= right["teacher"], done.stdout
    assert len(lines(tmp_path / "demo" / "together" / "dataset.jsonl")) >= 35
    assert "⟨teacher⟩" in done.stdout
    assert (tmp_path / "demo" / "together" / "report.html").is_file()
