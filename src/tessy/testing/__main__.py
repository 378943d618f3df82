"""`python -m tessy.testing`: one scripted server in a process of its own.

The first line of its output is its URL. SIGTERM, SIGINT, SIGHUP and (with `--until-stdin-closes`)
the end of its input stop it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from tessy.event_loop import stopping_signals
from tessy.testing.faults import ALL_RETRYABLE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tessy.testing", description=__doc__)
    model = parser.add_argument_group("what the model writes")
    model.add_argument("--role", choices=("student", "teacher"), default="student")
    model.add_argument("--seed", type=int, default=0, help="other words (the plan stays)")
    model.add_argument("--thinking-words", type=int, default=60)
    model.add_argument("--answer-words", type=int, default=12)
    model.add_argument("--style-mean", type=float, default=7, help="mean words of a style span")
    model.add_argument("--capability-mean", type=float, default=24)
    model.add_argument("--unicode", action="store_true", help="mix in hard characters")
    server = parser.add_argument_group("the server")
    server.add_argument("--host", default="127.0.0.1")
    server.add_argument("--port", type=int, default=0, help="0: any that is free")
    server.add_argument("--tokenizer", type=Path, help="a folder with tokenizer.json")
    server.add_argument("--served-name", default="scripted")
    server.add_argument("--context-length", type=int, default=65536)
    server.add_argument("--max-sequences", type=int, help="generated at once; default: no limit")
    server.add_argument("--first-token-ms", type=float, default=0)
    server.add_argument("--token-ms", type=float, default=0)
    server.add_argument("--stream-interval", type=int, default=1, help="tokens an event")
    server.add_argument("--api-key")
    server.add_argument("--no-ids", action="store_true", help="refuse prompts of ids")
    server.add_argument("--no-streams", action="store_true", help="refuse to stream")
    server.add_argument("--strict", action="store_true", help="refuse what OpenAI does not have")
    server.add_argument("--until-stdin-closes", action="store_true")
    faults = parser.add_argument_group("faults")
    faults.add_argument("--fault-rate", type=float, default=0)
    faults.add_argument("--fault-seed", type=int, default=0)
    faults.add_argument(
        "--fault-kinds",
        default=",".join(ALL_RETRYABLE),
        help="comma-separated; also timeout, stall, empty and refuse (default: %(default)s)",
    )
    return parser


async def serve(args: argparse.Namespace) -> None:
    """Run a server until it is stopped.

    Args:
        args: The command line, parsed.
    """
    from tessy.testing import CooperativeScript, Fault, Faults, Latency, ScriptedServer

    server = ScriptedServer(
        CooperativeScript(
            role=args.role,
            seed=args.seed,
            thinking_words=args.thinking_words,
            answer_words=args.answer_words,
            style_mean=args.style_mean,
            capability_mean=args.capability_mean,
            unicode=args.unicode,
        ),
        tokenizer=args.tokenizer,
        served_name=args.served_name,
        context_length=args.context_length,
        latency=Latency(args.first_token_ms / 1000, args.token_ms / 1000),
        max_sequences=args.max_sequences,
        faults=Faults(
            args.fault_rate,
            tuple(Fault(kind.strip()) for kind in args.fault_kinds.split(",")),
            args.fault_seed,
        ),
        accept_ids=not args.no_ids,
        accept_extensions=not args.strict,
        streams=not args.no_streams,
        stream_interval=args.stream_interval,
        host=args.host,
        port=args.port,
        api_key=args.api_key,
    )
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in stopping_signals():
        loop.add_signal_handler(number, stop.set)
    if args.until_stdin_closes:
        # A daemon thread on the bare descriptor: nothing has to be closed or joined at exit.
        threading.Thread(target=_wait_for_end_of_input, args=(loop, stop), daemon=True).start()
    async with server:
        print(server.url, flush=True)
        await stop.wait()


def _wait_for_end_of_input(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    while os.read(0, 4096):
        pass
    loop.call_soon_threadsafe(stop.set)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: Its arguments; those of the process by default.

    Returns:
        The exit code: 0, or 2 if an argument is wrong.
    """
    from tessy.errors import InputError
    from tessy.event_loop import run_loop

    args = _parser().parse_args(argv)
    try:
        run_loop(serve(args))
    except (InputError, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
