"""The entry of `tessy` and of `python -m tessy`."""

from __future__ import annotations

import sys

_STOPPED = 130


def main() -> None:
    """Run the command line; Ctrl-C while it is still being imported ends it without a traceback.

    Raises:
        SystemExit: Always, with the exit code.
    """
    try:
        from tessy.cli.main import main as run
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        sys.exit(_STOPPED)
    run()


if __name__ == "__main__":
    main()
