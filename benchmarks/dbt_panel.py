"""dbt, with the libraries of the Python models imported before it starts.

Importing is not measured, here as with the peers.
"""

import exchange_calendars  # noqa: F401
import pandas  # noqa: F401
import pyarrow.parquet  # noqa: F401
from dbt.cli.main import cli

if __name__ == "__main__":
    cli()
