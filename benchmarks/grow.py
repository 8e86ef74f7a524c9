"""Make more raw data out of raw data: more funds, or longer histories."""

from __future__ import annotations

import argparse
import datetime as dt
import shutil
from functools import lru_cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from etf_rotation.errors import InputError
from etf_rotation.staging.trading_calendar import sessions_between

PRICES = ("pre_close", "open", "high", "low", "close", "adj_close")
FIRST_YEAR = dt.date(1990, 1, 1)


def more_funds(raw_root: Path, folder: Path, times: int) -> None:
    """Write every fund `times` times below `folder`, the copies under symbols of their own.

    The copies' codes count up from 800000, past any that is there. All funds are copied before
    the next copies begin: copies side by side would compress as no real funds do.
    """
    files = raw_files(raw_root)
    codes = {path.name[:6] for path in files}
    free = (f"{code:06d}.SH" for code in range(800_000, 1_000_000) if f"{code:06d}" not in codes)
    for path in files:
        shutil.copyfile(path, folder / path.name)
    for _ in range(times - 1):
        for path in files:
            table = pq.read_table(path, partitioning=None)
            place = table.schema.get_field_index("ts_code")
            symbol = next(free)
            named = pa.array([symbol] * len(table))
            write(table.set_column(place, "ts_code", named), folder / f"{symbol}.parquet")


def longer_histories(raw_root: Path, folder: Path, times: int) -> None:
    """Write every fund with its history `times` over, as far back as the exchange's calendar goes.

    What is put before a history is the same history, on the sessions before it, with its prices
    scaled so that its last close is the previous close of what follows. Rows before the first
    session of the exchange are left out, so old funds grow less.

    Raises
    ------
    InputError
        If a file's dates are not text like 20230608.
    """
    for path in raw_files(raw_root):
        table = pq.read_table(path, partitioning=None)
        type_ = table["trade_date"].type
        if not (pa.types.is_string(type_) or pa.types.is_large_string(type_)):
            raise InputError(f"{path.name}: trade_date must be text, YYYYMMDD, to be lengthened")
        write(lengthened(table.sort_by("trade_date"), times), folder / path.name)


def lengthened(table: pa.Table, times: int) -> pa.Table:
    """Return one fund's rows, in date order, with `times - 1` scaled copies before them."""
    date = pc.cast(table["trade_date"], "int32").to_numpy()
    sessions = session_dates()
    place = np.searchsorted(sessions, date)
    is_session = sessions[np.minimum(place, len(sessions) - 1)] == date
    span = place[-1] - place[0] + 1
    traded = np.flatnonzero(np.nan_to_num(table["vol"].to_numpy()) > 0)
    if not len(traded):
        return table
    first, last = (table.slice(row, 1).to_pylist()[0] for row in traded[[0, -1]])
    step = (first.get("pre_close") or first["close"]) / last["close"]
    blocks, scale = [table], 1.0
    for number in range(1, times):
        scale *= step
        moved = place - number * span
        rows = np.flatnonzero((moved >= 0) & is_session)
        block = table.take(pa.array(rows))
        dates = pa.array(sessions[moved[rows]]).cast(table["trade_date"].type)
        block = block.set_column(block.schema.get_field_index("trade_date"), "trade_date", dates)
        for name in set(PRICES) & set(block.column_names):
            prices = pc.multiply(block[name], scale)
            block = block.set_column(block.schema.get_field_index(name), name, prices)
        blocks.insert(0, block)
    return pa.concat_tables(blocks)


@lru_cache
def session_dates() -> np.ndarray:
    """Return the exchange's sessions of the past as YYYYMMDD, int32."""
    days = sessions_between(FIRST_YEAR, dt.date.today())["trade_date"]
    past = pc.filter(days, pc.less_equal(days, pa.scalar(dt.date.today())))
    return pc.cast(pc.strftime(past, "%Y%m%d"), "int32").to_numpy()


def raw_files(raw_root: Path) -> list[Path]:
    """Return the raw files of a root.

    Raises
    ------
    InputError
        If there are none.
    """
    files = sorted(Path(raw_root, "ETF", "daily").glob("*.parquet"))
    if not files:
        raise InputError(f"{raw_root}/ETF/daily holds no .parquet file")
    return files


def write(table: pa.Table, path: Path) -> None:
    """Write one fund's file as small as the originals are."""
    pq.write_table(table, path, compression="zstd")


def main() -> None:
    """Write grown data from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=["funds", "history"])
    parser.add_argument("times", type=int)
    parser.add_argument("raw_root", type=Path, help="folder above ETF/daily")
    parser.add_argument("folder", type=Path, help="the new raw root; must not exist")
    given = parser.parse_args()
    daily = given.folder / "ETF" / "daily"
    daily.mkdir(parents=True)
    grow = {"funds": more_funds, "history": longer_histories}[given.kind]
    try:
        grow(given.raw_root, daily, given.times)
    except InputError as error:
        parser.exit(1, f"{error}\n")


if __name__ == "__main__":
    main()
