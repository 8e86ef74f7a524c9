"""Write a built panel into one parquet file as the production command does; print its time."""

import json
import sys
import time
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
from etf_rotation.dbt_project import memory_limit
from etf_rotation.production import panel_file
from etf_rotation.signals.factor_summary import KEYS


def main() -> None:
    """Write `{database}`'s panel to `{file}`."""
    database, file = sys.argv[1:]
    settings = {"memory_limit": memory_limit()}
    with duckdb.connect(database, read_only=True, config=settings) as connection:
        started = time.perf_counter()
        panel_file.write(connection, "select * from signals.factor_panel", Path(file), {})
        seconds = time.perf_counter() - started
    columns = len(pq.read_schema(file).names) - len(KEYS)
    print(json.dumps({"seconds": seconds, "columns": columns}))


if __name__ == "__main__":
    main()
