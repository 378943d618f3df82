"""`python -m torture`: run all, print a table, and write it into docs/reliability.md."""

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
from torture.kills import kills
from torture.servers import servers
from torture.texts import texts

BEGIN, END = "<!-- made by make torture -->\n", "<!-- end -->"


def main() -> int:
    """Run what is asked for; the exit code is 1 if anything did not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; all by default")
    parser.add_argument("--page", type=Path, help="write the table between its marks in this page")
    arguments = parser.parse_args()
    table, began = Table(), time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        tokenizers = {
            role: build_tokenizer(Path(folder) / role, flavour=flavour)
            for role, flavour in (("student", "qwen3"), ("teacher", "gpt-oss"))
        }
        for part in arguments.parts or PARTS:
            place = Path(folder) / part
            place.mkdir()
            running = PARTS[part](table, place, tokenizers)
            if running is not None:
                asyncio.run(running)
    tried = sum(row.tried for row in table.rows)
    print(f"{tried} tried, {table.missed} missed, {time.monotonic() - began:.0f} s")
    if arguments.page:
        text = arguments.page.read_text(encoding="utf-8")
        head, _, rest = text.partition(BEGIN)
        tail = rest.partition(END)[2]
        page = f"{head}{BEGIN}{table.markdown()}\n{END}{tail}"
        arguments.page.write_text(page, encoding="utf-8")
    return bool(table.missed)


PARTS: dict[str, Callable[..., Coroutine[None, None, None] | None]] = {
    "kills": kills,
    "servers": servers,
    "texts": texts,
    "folders": folders,
}

if __name__ == "__main__":
    sys.exit(main())
