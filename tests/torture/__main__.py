"""`python -m torture`: run all, print a table, and write it into docs/reliability.md.

`python -m torture fuzz --minutes 10` fuzzes each reader for so long.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from pathlib import Path

from tessy.testing import build_tokenizer
from torture.counts import Table
from torture.folders import folders
from torture.fuzz import fuzz
from torture.kills import kills
from torture.servers import servers
from torture.texts import texts
from torture.verdicts import verdicts


def main() -> int:
    """Run what is asked for; the exit code is 1 if anything did not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; all by default; or fuzz")
    parser.add_argument("--minutes", type=float, default=10, help="for each reader that is fuzzed")
    parser.add_argument("--page", type=Path, help="write the table between its marks in this page")
    parser.add_argument("--name", default="torture", help="of the table in that page")
    arguments = parser.parse_args()
    table, began = Table(), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        tokenizers = {
            role: build_tokenizer(Path(folder) / role, flavour=flavour)
            for role, flavour in (("student", "qwen3"), ("teacher", "gpt-oss"))
        }
        for part in arguments.parts or PARTS:
            if part == "fuzz":
                fuzz(table, arguments.minutes)
                continue
            place = Path(folder) / part
            place.mkdir()
            running = PARTS[part](table, place, tokenizers)
            if running is not None:
                asyncio.run(running)
    tried = sum(row.tried for row in table.rows)
    print(f"{tried} tried, {table.missed} missed, {time.monotonic() - began:.0f} s")
    if arguments.page:
        begin, end = (f"<!-- {word} {arguments.name} -->\n" for word in ("begin", "end"))
        text = arguments.page.read_text(encoding="utf-8")
        head, _, rest = text.partition(begin)
        page = f"{head}{begin}{table.markdown()}\n{end}{rest.partition(end)[2]}"
        arguments.page.write_text(page, encoding="utf-8")
    return bool(table.missed)


PARTS: dict[str, Callable[..., Coroutine[None, None, None] | None]] = {
    "kills": kills,
    "servers": servers,
    "texts": texts,
    "folders": folders,
    "verdicts": verdicts,
}

if __name__ == "__main__":
    sys.exit(main())
