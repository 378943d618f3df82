"""Tables of results, in which no number is ever cut."""

from __future__ import annotations

from rich.cells import cell_len
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

_WIDE = 10_000


def print_table(table: Table) -> None:
    """Print a table; where it is too wide, words fold and numbers don't.

    If not even that is enough, its lines are longer than the terminal's.

    Args:
        table: Numbers are in columns that are justified to the right.
    """
    console = Console(highlight=False, markup=False)
    wanted = console.options.update(max_width=_WIDE)
    if Measurement.get(console, wanted, table).maximum > console.width:
        for column in table.columns:
            column.overflow = "fold"
            if column.justify == "right":
                texts = [*str(column.header).split(), *map(str, column.cells)]
                column.width = max(map(cell_len, texts), default=1)
        console.width = max(console.width, Measurement.get(console, wanted, table).minimum)
    console.print(table)
