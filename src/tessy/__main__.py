"""`python -m tessy` is `tessy`: for an interpreter whose scripts are not on the path."""

from __future__ import annotations

from tessy.cli.main import main

if __name__ == "__main__":
    main()
