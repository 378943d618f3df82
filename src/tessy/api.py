"""The functions behind the commands, with plain arguments: `tessy.verify` and `export`.

`tessy.synthesize` is in `tessy.synthesis.run`, `tessy.evaluate` in `tessy.evaluation.evaluate`,
and `tessy.load` in `tessy.runs.load`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from tessy.data.outputs import check_outputs
from tessy.display import Say
from tessy.exporting.job import export as export_samples
from tessy.exporting.samples import ExportCounts
from tessy.exporting.settings import ExportSettings
from tessy.settings import load_settings
from tessy.verifiers.limits import ProgramLimits, VerifierSettings
from tessy.verifiers.verify import VerifyResult
from tessy.verifiers.verify import verify as verify_responses

T = TypeVar("T")


def verify(
    responses: str | Path,
    verifier: str,
    *,
    out: str | Path | None = None,
    group: str | None = None,
    limit: int | None = None,
    concurrency: int | None = None,
    cpu_seconds: int | None = None,
    memory_mb: int | None = None,
    sandbox: bool = True,
    say: Say = lambda line: None,
) -> VerifyResult:
    """Verify the final answers of a run, or of any data set, as `tessy verify` does.

    All responses are checked for the columns that the verifier needs before any is verified.

    Args:
        responses: A run's folder, a `.jsonl` or `.parquet` file, or a Hugging Face data set, whose
            rows have `messages` that end with the assistant's.
        verifier: Its name, such as `number`, `math:solution` or `python:MODULE:FACTORY`.
        out: Write each verdict to this file, a line of JSON. The file appears when all is done.
        group: Count for each value of this column, too.
        limit: Only the first responses.
        concurrency: Programs and checks that run at once; by default one for each core.
        cpu_seconds: Processor time of a program's test, 10 by default. Limits by the clock grow
            with it.
        memory_mb: Memory of a program in MiB, 1024 by default.
        sandbox: Run programs in isolation; without it, they can do what you can do.
        say: Called with a line of progress now and then.

    Returns:
        Counts of all responses, and by group.

    Raises:
        InputError: An argument or a response can't be used; nothing was verified.
        MissingExtra: The verifier needs an optional dependency.
        SandboxError: The verifier runs programs, and they can't be isolated here.
    """
    path = Path(out) if out is not None else None
    check_outputs({"--out": path}, inputs=[responses, Path(responses) / "dataset.jsonl"])
    if not sandbox:
        say("warning: programs run without isolation: they can do what you can do")
    usual = VerifierSettings()
    limits = ProgramLimits(
        cpu_s=cpu_seconds or usual.limits.cpu_s,
        wall_s=max(usual.limits.wall_s, 6 * (cpu_seconds or 0)),
        total_s=max(usual.limits.total_s, 60 * (cpu_seconds or 0)),
        memory_mb=memory_mb or usual.limits.memory_mb,
    )
    chosen = VerifierSettings(not sandbox, concurrency or usual.at_once, limits)
    return verify_responses(
        responses, verifier, chosen, out=path, group=group, limit=limit, say=say
    )


def export(
    runs: str | Path | Sequence[str | Path],
    *,
    to: str,
    out: str | Path,
    force: bool = False,
    say: Say = lambda line: None,
    **settings: Any,
) -> ExportCounts:
    """Export finished samples in the form that a training tool reads, as `tessy export` does.

    Args:
        runs: A run's folder, a file or a data set of records; or several of them.
        to: `trl`, `sharegpt`, `alpaca`, `parquet` or `hf`.
        out: A new folder; it appears when everything is written.
        force: Overwrite an earlier export.
        say: Called with a line of progress now and then.
        **settings: Other settings of an export, such as `mask="capability"` or `max_tokens=8192`;
            see `tessy.exporting.settings.ExportSettings`.

    Returns:
        How many samples were read, kept and dropped, with reasons.

    Raises:
        ConfigError: A setting can't be used, or `out` can't be written.
        DataError: A source is missing or broken, or no sample is kept.
    """
    chosen = load_settings(ExportSettings, overrides={"to": to, **settings})
    return export_samples(runs, out, chosen, force=force, say=say)
