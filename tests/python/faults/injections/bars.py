"""Faults of the bars: the gate fails, or warns."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from faults.workspace import PRICES, STRANGER, Workspace, dashed


def whole_file_of_another_fund(w: Workspace) -> list[str]:
    w.write("510500.SH", [row | {"ts_code": "510501.SH"} for row in w.rows("510500.SH")])
    return [w.path("510500.SH").name, "symbol_unlike_file", "510501.SH", "2022-06-30"]


def shares_instead_of_lots(w: Workspace) -> list[str]:
    w.write("510300.SH", [_scaled(row, vol=100) for row in w.rows("510300.SH")])
    return [w.path("510300.SH").name, "2022-06-30", "raw_volume_unit"]


def yuan_instead_of_thousand(w: Workspace) -> list[str]:
    w.write("513100.SH", [_scaled(row, amount=1000) for row in w.rows("513100.SH")])
    return [w.path("513100.SH").name, "2022-06-30", "raw_amount_unit"]


def units_changed_last_year(w: Workspace) -> list[str]:
    rows = w.rows("511010.SH")
    w.write("511010.SH", rows[:-150] + [_scaled(row, amount=1000) for row in rows[-150:]])
    return [w.path("511010.SH").name, "2022-06-30", "over 250 bars, 1.0"]


def yuan_on_one_bar(w: Workspace) -> list[str]:
    date = w.edit_row("159920.SZ", 222, amount=w.rows("159920.SZ")[222]["amount"] * 1000)
    return [w.path("159920.SZ").name, f"bars: 1, to {date}; on {date} amount is "]


def prices_of_another_basis(w: Workspace) -> list[str]:
    rows = w.rows("513050.SH")
    w.write("513050.SH", [_scaled(row, **dict.fromkeys(PRICES, 1.008)) for row in rows])
    return [w.path("513050.SH").name, "adjustments: 250 in the 250 bars", "the previous close is"]


def factor_beyond_its_bounds(w: Workspace) -> list[str]:
    rows = w.rows("511380.SH")
    factors = [1.0] * (len(rows) - 9) + [20_000.0] * 9
    dated = [row | {"adj_factor": factor} for row, factor in zip(rows, factors, strict=True)]
    _with_column(w, "511380.SH", dated, "adj_factor")
    date = dashed(rows[-9]["trade_date"])
    return [w.path("511380.SH").name, f"adj is out of 1e-4 to 1e4 from {date}"]


def adjusted_prices(w: Workspace) -> list[str]:
    rows = w.rows("512100.SH")
    adjusted = dict.fromkeys((*PRICES, "pre_close"), 1.5)
    w.write("512100.SH", rows[:120] + [_scaled(row, **adjusted) for row in rows[120:240]])
    return [w.path("512100.SH").name, "is 0.6667 over the 60 bars", "the price paid is"]


def adjustment_that_pre_close_does_not_know(w: Workspace) -> list[str]:
    dates = _with_steps(w, "511260.SH", w.rows("511260.SH"), {200: 1.5})
    return [w.path("511260.SH").name, f"disagree: 1, to {dates[0]}; their ratios are 1.5 and 1 on"]


def adjustments_that_pre_close_does_not_know(w: Workspace) -> list[str]:
    dates = _with_steps(
        w, "512000.SH", w.rows("512000.SH"), dict.fromkeys((200, 220, 240, 260), 1.02)
    )
    return [w.path("512000.SH").name, f"disagree: 4, to {dates[3]}", f"1.02 and 1 on {dates[0]}"]


def adjustments_to_look_at(w: Workspace) -> list[str]:
    dates = _with_steps(w, "159949.SZ", w.rows("159949.SZ"), {200: 1.02, 220: 0.98})
    return [w.path("159949.SZ").name, f"1.02 and 1 on {dates[0]}, 0.98 and 1 on {dates[1]}"]


def factor_that_starts_late(w: Workspace) -> list[str]:
    rows = [row | {"adj_factor": 1.0} for row in w.rows("510050.SH")]
    rows[0]["adj_factor"] = None
    _with_column(w, "510050.SH", rows, "adj_factor")
    first, second = (dashed(row["trade_date"]) for row in rows[:2])
    said = f"row 1: adj_factor is null on the first bar and begins on {second}; bars to fill: 1"
    return [f"{w.path('510050.SH').name} {first} {said}"]


def _with_steps(w: Workspace, symbol: str, rows: list[dict], steps: dict[int, float]) -> list[str]:
    """Give a fund an adj_factor with these ratios at these rows, and return the rows' dates."""
    factor, dated = 1.0, []
    for position, row in enumerate(rows):
        factor *= steps.get(position, 1.0)
        dated.append(row | {"adj_factor": factor})
    _with_column(w, symbol, dated, "adj_factor")
    return [dashed(rows[position]["trade_date"]) for position in steps]


def _with_column(w: Workspace, symbol: str, rows: list[dict], name: str) -> None:
    path = w.path(symbol)
    schema = pq.read_schema(path).append(pa.field(name, pa.float64()))
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)


def unadjusted_split(w: Workspace) -> list[str]:
    rows = w.rows("159919.SZ")
    halved = dict.fromkeys((*PRICES, "pre_close"), 0.5)
    split = [_scaled(row, vol=2, **halved) for row in rows[250:]]
    split[0]["pre_close"] *= 2
    w.write("159919.SZ", rows[:250] + split)
    return [w.path("159919.SZ").name, dashed(rows[250]["trade_date"]), "corporate_actions"]


def frozen_fund(w: Workspace) -> list[str]:
    rows = _frozen(w.rows("512880.SH"), 300, 25)
    w.write("512880.SH", rows)
    return [w.path("512880.SH").name, dashed(rows[300]["trade_date"]), "25 bars"]


def late_vendor(w: Workspace) -> list[str]:
    for symbol in ("513500.SH", "513660.SH"):
        w.write(symbol, w.rows(symbol)[:-1])
    return [w.path("513500.SH").name, w.path("513660.SH").name, "2022-06-30"]


def day_missing_for_all(w: Workspace) -> list[str]:
    for symbol in w.funds():
        w.write(symbol, [row for row in w.rows(symbol) if row["trade_date"] != "20220415"])
    return ["2022-04-15", "no fund of the pool has a row"]


def pool_of_suspensions(w: Workspace) -> list[str]:
    for symbol in w.funds("OTHER"):
        w.write(symbol, [row | {"vol": 0.0, "amount": 0.0} for row in w.rows(symbol)])
    return ["0 is below 0.7"]


def stale_data(w: Workspace) -> list[str]:
    (w.raw / "SYNTHETIC").unlink()
    for path in sorted((w.raw / "ETF" / "daily").glob("*.parquet")):
        pq.write_table(pq.read_table(path).replace_schema_metadata({}), path)
    return ["2022-06-30 is the last bar"]


def _scaled(row: dict, **factors: float) -> dict:
    return row | {
        name: None if row[name] is None else row[name] * factor for name, factor in factors.items()
    }


def _frozen(rows: list[dict], start: int, length: int) -> list[dict]:
    prices = {name: rows[start][name] for name in PRICES}
    still = [
        row | prices | ({"pre_close": prices["close"]} if position else {})
        for position, row in enumerate(rows[start : start + length])
    ]
    rows = rows[:start] + still + rows[start + length :]
    # The market goes on where the fund stood still, so that only the standing still is odd.
    rows[start + length]["pre_close"] = prices["close"]
    move = rows[start + length]["close"] / prices["close"]
    for row in rows[start + length :]:
        for name in (*PRICES, "pre_close"):
            row[name] = round(row[name] / move, 3)
        row["vol"] *= move
    rows[start + length]["pre_close"] = prices["close"]
    return rows


def stale_prices(w: Workspace) -> list[str]:
    rows = _frozen(w.rows("510300.SH"), 300, 12)
    w.write("510300.SH", rows)
    return [w.path("510300.SH").name, dashed(rows[300]["trade_date"]), "12 bars"]


def day_missing_for_one_fund(w: Workspace) -> list[str]:
    rows = w.rows("510500.SH")
    w.write("510500.SH", rows[:150] + rows[151:])
    return [w.path("510500.SH").name, dashed(rows[150]["trade_date"])]


def adjustment_after_gap(w: Workspace) -> list[str]:
    rows = w.rows("159919.SZ")
    w.write("159919.SZ", rows[:200] + [_scaled(rows[201], pre_close=1 / 1.01)] + rows[202:])
    return [w.path("159919.SZ").name, dashed(rows[201]["trade_date"]), "ratio"]


def large_adjustment(w: Workspace) -> list[str]:
    rows = w.rows("159922.SZ")
    halved = dict.fromkeys((*PRICES, "pre_close"), 0.5)
    w.write("159922.SZ", rows[:220] + [_scaled(row, vol=2, **halved) for row in rows[220:]])
    return [w.path("159922.SZ").name, dashed(rows[220]["trade_date"]), "ratio 2.0"]


def pre_close_missing(w: Workspace) -> list[str]:
    date = w.edit_row("512880.SH", 100, pre_close=None)
    return [w.path("512880.SH").name, date]


def move_beyond_limit(w: Workspace) -> list[str]:
    rows = w.rows("513500.SH")
    rows[150] = _scaled(rows[150], **dict.fromkeys(PRICES, 1.15))
    w.write("513500.SH", rows)
    return [w.path("513500.SH").name, dashed(rows[150]["trade_date"]), "10%"]


def late_file(w: Workspace) -> list[str]:
    # One of six funds: above the threshold, which counts for more than one fund only.
    w.write("513660.SH", w.rows("513660.SH")[:-1])
    return [w.path("513660.SH").name, "2022-06-30"]


def fund_without_file(w: Workspace) -> list[str]:
    w.path("511380.SH").unlink()
    return ["511380.SH"]


def fund_without_volume(w: Workspace) -> list[str]:
    w.write("512100.SH", [row | {"vol": None} for row in w.rows("512100.SH")])
    return [w.path("512100.SH").name, "no bar: every row is in suspensions"]


def fund_that_ended(w: Workspace) -> list[str]:
    rows = w.rows("512000.SH")[:-60]
    w.write("512000.SH", rows)
    return [
        w.path("512000.SH").name,
        f"{dashed(rows[-1]['trade_date'])} is the last row, 60 sessions before the last",
        "1 is above 0",
    ]


def holding_that_does_not_trade(w: Workspace) -> list[str]:
    held = w.query(
        "select max(symbol) as symbol from backtest.positions_daily where trade_date = "
        "(select max(trade_date) from backtest.positions_daily) and strategy = 'rotation' "
        # The other faults of the group have these.
        "and symbol not in ('510300.SH', '510500.SH', '159919.SZ', '159922.SZ', '512880.SH', "
        "'513500.SH', '510050.SH', '511380.SH', '512100.SH', '511010.SH', '512000.SH')"
    )
    symbol = held[0]["symbol"]
    rows = w.rows(symbol)
    w.write(symbol, rows[:-65] + [row | {"vol": 0.0, "amount": 0.0} for row in rows[-65:]])
    return [w.path(symbol).name, dashed(rows[-66]["trade_date"]), "65 sessions ago"]


def fund_in_no_pool(w: Workspace) -> list[str]:
    return [stranger(w).name, "1 is above 0"]


def stranger(w: Workspace) -> Path:
    """Add a fund that is in no pool, and return its file."""
    path = w.raw / "ETF" / "daily" / f"{STRANGER}_daily.parquet"
    rows = [row | {"ts_code": STRANGER} for row in w.rows("510050.SH")]
    schema = pq.read_schema(w.path("510050.SH"))
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)
    return path


def stranger_of_another_basis(w: Workspace) -> list[str]:
    """The pool is there for research: no finding of it fails, and none stops a model."""
    other = "588887.SH"
    path = w.path("510050.SH").with_name(f"{other}_daily.parquet")
    rows = [
        _scaled(row, **dict.fromkeys(PRICES, 1.2671)) | {"ts_code": other}
        for row in w.rows("510050.SH")
    ]
    schema = pq.read_schema(w.path("510050.SH"))
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)
    return [path.name, "adj is out of 1e-4 to 1e4 from"]


def stranger_in_shares(w: Workspace) -> list[str]:
    path = stranger(w)
    w.write(STRANGER, [_scaled(row, vol=100) for row in w.rows(STRANGER)])
    return [path.name, "2022-06-30", "100 is above 2"]


def action_without_bar(w: Workspace) -> list[str]:
    with (w.project / "seeds" / "corporate_actions.csv").open("a", encoding="utf-8") as file:
        file.write("511010.SH,2022-05-03,2,a holiday\n")
    return ["511010.SH", "2022-05-03", "corporate_actions.csv"]


def action_beside_adj_factor(w: Workspace) -> list[str]:
    symbol = w.funds("QDII")[-1]
    path = w.path(symbol)
    table = pq.read_table(path)
    date = dashed(table["trade_date"][100].as_py())
    ones = pa.array([1.0] * table.num_rows)
    pq.write_table(table.drop_columns(["pre_close"]).append_column("adj_factor", ones), path)
    with (w.project / "seeds" / "corporate_actions.csv").open("a", encoding="utf-8") as file:
        file.write(f"{symbol},{date},2,the file has a factor of its own\n")
    return [symbol, date, "adjusted by its adj_factor, 1.0000"]
