"""`python -m etf_rotation`."""

import sys

from etf_rotation.cli import main

if __name__ == "__main__":
    sys.exit(main())
