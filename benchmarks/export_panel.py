"""Write a built panel into one parquet file as the production command does; print the seconds."""

import json
import sys
import time
from pathlib import Path

import duckdb
from etf_rotation.dbt_project import memory_limit
from etf_rotation.production import panel_file


def main() -> None:
    """Write `{database}`'s panel to `{file}`."""
    database, file = sys.argv[1:]
    settings = {"memory_limit": memory_limit()}
    with duckdb.connect(database, read_only=True, config=settings) as connection:
        started = time.perf_counter()
        panel_file.write(connection, "select * from signals.factor_panel", Path(file), {})
        print(json.dumps({"seconds": time.perf_counter() - started}))


if __name__ == "__main__":
    main()
