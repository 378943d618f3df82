"""`python -m studies.study`: data of every method, a student trained on each, and measured."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from studies.command import finish, silent, tell
from studies.study.conductor import conduct
from tessy.errors import MissingExtra
from tessy.event_loop import run_loop


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = argparse.ArgumentParser(
        "python -m studies.study", description=f"{__doc__} It takes hours; it can be resumed."
    )
    parser.add_argument("settings", type=Path, help="a TOML file, such as studies/study/study.toml")
    parser.add_argument("--out", type=Path, required=True, help="the study's folder")
    parser.add_argument("--page", type=Path, help="write the results here, in Markdown")
    parser.add_argument("--notes", type=Path, help="a reading by hand, to put on the page")
    parser.add_argument("--at-once", type=int, help="jobs at the same time (one per core)")
    parser.add_argument("--quiet", action="store_true", help="print only errors")
    options = parser.parse_args(arguments)
    return finish(lambda: _study(options))


def _study(options: argparse.Namespace) -> None:
    for name in ("matplotlib", "reasoning_gym", "scipy", "sklearn", "trl"):
        if importlib.util.find_spec(name) is None:
            raise MissingExtra(
                f"the study needs {name}", hint="pip install '.[report,train]' --group studies"
            )
    from studies.study.page import check_page, write_page

    settings, out, page = options.settings, options.out, options.page
    say = silent if options.quiet else tell
    if page:
        check_page(out, page, options.notes)
    run_loop(conduct(settings, out, at_once=options.at_once or os.cpu_count() or 1, say=say))
    if page:
        command = f"python -m studies.study {settings} --out {out}"
        write_page(out, page, notes=options.notes, command=command)
        say(f"written: {page}")


if __name__ == "__main__":
    sys.exit(main())
