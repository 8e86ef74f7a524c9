"""`python -m etf_rotation`."""

import sys
from typing import NoReturn

from etf_rotation.production import process


def main() -> NoReturn:
    """Run the command of this process and end it with the command's exit code."""
    code = 2
    try:
        process.take_over()
        # Imported here, not above: the import takes half a second, and a signal must be
        # handled even then.
        from etf_rotation.cli import main as cli  # noqa: PLC0415

        code = cli.main()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
    process.leave(code)


if __name__ == "__main__":
    main()
