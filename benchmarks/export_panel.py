"""Compute the panel from the bars of a build into one parquet file; print the time."""

import json
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
from etf_rotation.production import panel_file
from etf_rotation.signals.factor_summary import KEYS


def main() -> None:
    """Do what `etf-rotation export DATABASE PATH` does."""
    database, file = map(Path, sys.argv[1:])
    started = time.perf_counter()
    panel_file.export(database, file)
    seconds = time.perf_counter() - started
    columns = len(pq.read_schema(file).names) - len(KEYS)
    print(json.dumps({"seconds": seconds, "columns": columns}))


if __name__ == "__main__":
    main()
