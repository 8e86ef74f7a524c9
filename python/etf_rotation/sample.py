"""A synthetic sample of daily bars, to try the project without data.

`sample_prices` makes the bars; this module writes the files.
"""

from __future__ import annotations

import datetime as dt
import os
import tempfile
import zlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from etf_rotation.errors import InputError
from etf_rotation.sample_prices import read_funds, seeds, table_of
from etf_rotation.staging.raw_files import MARKER, SYNTHETIC_KEY
from etf_rotation.staging.trading_calendar import sessions_between

VERSION = 1


def write_sample(
    folder: Path, *, pools_csv: Path, last_session: str = "2024-12-31", sessions: int = 1500
) -> None:
    """Write the sample, unless `folder` already has the same sample.

    The new folder is built beside the old one and then renamed: a reader never sees
    half a sample.

    Parameters
    ----------
    folder : Path
        Gets `ETF/daily/{symbol}_daily_{first}_{last}.parquet`, one file per fund, in
        raw units (CNY, lots of 100 shares, thousand CNY), and a one-line marker file
        `SYNTHETIC`.
    pools_csv : Path
        The seed `etf_pools`. `price_limits.csv` and `corporate_actions.csv` beside it
        are read too, if they exist: prices stay within the limits, and splits happen as
        listed.
    last_session : str
        `YYYY-MM-DD`; sessions up to this date.
    sessions : int
        Number of sessions. All prices depend on it: every path starts at the first
        session.

    Raises
    ------
    InputError
        If `folder` holds anything but a sample, or the calendar has fewer sessions.
    FileNotFoundError
        If there is no `pools_csv`.
    """
    label = _label(pools_csv, last_session, sessions)
    marker = folder / MARKER
    has_files = any(folder.glob("ETF/daily/*.parquet"))
    if has_files and marker.is_file() and marker.read_text(encoding="utf-8") == label:
        return
    _refuse_other_data(folder)
    dates = _dates(last_session, sessions)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as beside:
        new = Path(beside) / "new"
        daily = new / "ETF" / "daily"
        daily.mkdir(parents=True)
        for fund in read_funds(pools_csv, dates):
            table = table_of(fund, dates)
            if table.num_rows:
                first, last = table["trade_date"][0], table["trade_date"][-1]
                name = f"{fund['symbol']}_daily_{first}_{last}.parquet"
                pq.write_table(table, daily / name, compression="zstd")
        (new / MARKER).write_text(label, encoding="utf-8")
        if folder.exists():
            os.replace(folder, Path(beside) / "old")
        os.replace(new, folder)


def _label(pools_csv: Path, last_session: str, sessions: int) -> str:
    pools, *others = seeds(pools_csv)
    contents = [pools.read_bytes(), *(path.read_bytes() for path in others if path.is_file())]
    return (
        "Synthetic sample, not market data / 合成样本，并非真实行情: "
        f"version {VERSION}, {sessions} sessions to {last_session}, "
        f"seeds {zlib.crc32(b''.join(contents)):08x}\n"
    )


def _refuse_other_data(folder: Path) -> None:
    paths = [path for path in sorted(folder.rglob("*")) if not path.is_dir()]
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; name another folder for the sample")
    if paths and not (folder / MARKER).is_file():
        raise InputError(
            f"{folder} is not a sample (it has no file {MARKER}) and is left as it is; "
            "name another folder"
        )
    for path in paths:
        if path != folder / MARKER and not _is_synthetic(path):
            raise InputError(
                f"{folder} also holds {path.relative_to(folder)}, which is not part of a sample, "
                "and is left as it is; move that file, or name another folder"
            )


def _is_synthetic(path: Path) -> bool:
    try:
        # Checked first: opening a pipe would wait for a writer.
        return path.is_file() and SYNTHETIC_KEY in (pq.read_schema(path).metadata or {})
    except (pa.ArrowException, OSError):
        return False


def _dates(last_session: str, sessions: int) -> list[str]:
    last = dt.date.fromisoformat(last_session)
    days = sessions_between(dt.date.min, last)["trade_date"].to_pylist()
    days = [f"{day:%Y%m%d}" for day in days if day <= last]
    if not 0 < sessions <= len(days):
        raise InputError(f"sessions must be 1 to {len(days)} up to {last}, not {sessions}")
    return days[-sessions:]


def summary(folder: Path) -> str:
    """Return a one-line summary of the sample in a folder."""
    files = sorted((folder / "ETF" / "daily").glob("*.parquet"))
    dates = [
        pq.read_table(path, columns=["trade_date"])["trade_date"].to_pylist() for path in files
    ]
    first, last = min(map(min, dates)), max(map(max, dates))
    rows = sum(map(len, dates))
    return f"{len(files)} funds, {rows} rows, {first} to {last}, synthetic, in {folder}"
