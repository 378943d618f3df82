"""Questions and samples in data sets of Ray: `tessy.ray.synthesize`."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tessy.config import Config
from tessy.data.parquet import schema, to_row
from tessy.data.remote import absolute
from tessy.data.rows import plain, row_bytes
from tessy.errors import DataError
from tessy.event_loop import run_loop
from tessy.models.checks import check, check_formats
from tessy.ray.cluster import import_ray
from tessy.runs.load import load as load_run
from tessy.synthesis.methods import method_of
from tessy.synthesis.run import asynthesize, chosen_settings

if TYPE_CHECKING:
    import pyarrow
    import ray.data

_QUESTIONS = "questions.parquet"


def synthesize(
    dataset: ray.data.Dataset,
    *,
    config: Config | str | Path | None = None,
    out: str | Path | None = None,
    batch_size: int = 256,
    workers: int | None = None,
    cpus: float = 1.0,
    question_column: str | None = None,
    **settings: Any,
) -> ray.data.Dataset:
    """Have student and teacher write samples for the questions in a data set of Ray.

    Each batch of questions is a run of its own, on whatever node is free. The result is computed
    when it is used, as is usual with Ray.

    Args:
        dataset: The questions, in columns as `tessy synth` reads them. Rows without an `id` get one
            that is a hash of the row.
        config: Settings, or the path of a TOML file.
        out: A folder that all nodes see, or a URL: there each batch keeps its run, so that a batch
            whose node died, or the same data set another time, goes on from its journal. Without
            it, such a batch is written from its beginning.
        batch_size: Questions of a batch. `concurrency` of them are written at once, so it should
            be several times as large.
        workers: Batches that are written at once; by default as many as the cluster has room for.
        cpus: The cores that a batch takes.
        question_column: The column of the question; by default the one that is there.
        **settings: Override single settings, with `__` for the dot: `student__model="…"`.

    Returns:
        A row for each sample, with the columns of `tessy export --to parquet` (docs/export.md)
        and `failure`: null, or the reason why the sample failed. Bad rows are failures, too.

    Raises:
        InputError: A setting can't be used.
        MissingExtra: Ray is not installed.
    """
    import_ray()
    chosen = chosen_settings(config, settings)
    import ray.data

    method = method_of(chosen)
    check(chosen, method.needs(chosen))
    check_formats(chosen, method.needs(chosen))
    return dataset.map_batches(
        write_batch,
        batch_size=batch_size,
        batch_format="pyarrow",
        num_cpus=cpus,
        compute=ray.data.TaskPoolStrategy(size=workers),
        fn_kwargs={
            "config": chosen.model_dump(mode="json"),
            "out": None if out is None else absolute(out),
            "column": question_column,
        },
    )


def write_batch(
    batch: pyarrow.Table, *, config: dict[str, Any], out: str | None, column: str | None
) -> pyarrow.Table:
    """Write the samples of a batch of questions.

    Args:
        batch: The questions.
        config: The settings, as JSON.
        out: The folder of the batches' runs; None for a temporary one.
        column: The column of the question; None for the one that is there.

    Raises:
        TessyError: The run had to stop.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    batch, name = _with_ids(batch)
    columns = schema().append(pa.field("failure", pa.string()))
    if not len(batch):
        return columns.empty_table()
    with tempfile.TemporaryDirectory(prefix="tessy-") as folder:
        questions = Path(folder) / _QUESTIONS
        pq.write_table(batch, questions)
        run = Path(folder) / "run" if out is None else f"{out.rstrip('/')}/{name}"
        run_loop(
            asynthesize(
                questions,
                out=run,
                config=Config.model_validate(config),
                skip_bad=True,
                question_column=column,
            )
        )
        loaded = load_run(run)
        rows = [{**to_row(record), "failure": None} for record in loaded.records()]
        rows += [{**to_row(record), "failure": record["reason"]} for record in loaded.failures()]
    return pa.Table.from_pylist(rows, columns)


def _with_ids(batch: pyarrow.Table) -> tuple[pyarrow.Table, str]:
    """The batch, in which each row has an id; and a name for it, which depends on its rows only.

    Raises:
        DataError: A value is none that JSON can hold.
    """
    import pyarrow as pa

    hashes = []
    for row in batch.to_pylist():
        try:
            made = {key: plain(value, key) for key, value in row.items()}
        except ValueError as error:
            raise DataError(str(error)) from None
        hashes.append(hashlib.blake2b(row_bytes(made), digest_size=16).hexdigest())
    name = hashlib.blake2b("".join(hashes).encode(), digest_size=16).hexdigest()
    if "id" not in batch.column_names:
        batch = batch.append_column("id", pa.array(hashes, pa.string()))
    return batch, name
