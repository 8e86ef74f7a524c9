"""A thousand variants of a monthly rotation of one pool, by vectorbt.

Each variant ranks the pool's funds by the return of its look-back on the last session of a month
and buys the best in equal parts at the next session's open. Fees and slippage; no lots, no price
limits, no minimum commission.
"""

import argparse

import bars
import numpy as np
import pandas as pd
import vectorbt as vbt

LOOKBACKS = list(range(5, 255, 5))
TOP_N = list(range(1, 21))
CAPITAL_CNY = 1_000_000
FEES, SLIPPAGE = 2.5e-4, 10e-4


def matrices(b):
    """Return open and close as frames (dates, funds), a session without a trade filled forward."""
    table = pd.DataFrame(
        {
            "date": pd.to_datetime(b.date.astype(str), format="%Y%m%d"),
            "symbol": np.repeat(b.symbols, np.diff(b.starts)),
            "open": b.open,
            "close": b.close,
        }
    )
    close = table.pivot(index="date", columns="symbol", values="close").ffill()
    open_ = table.pivot(index="date", columns="symbol", values="open")
    return open_.fillna(close), close


def target_weights(close, lookbacks, top_n):
    """Return weights (dates, variants × funds), NaN but on the first session of each month."""
    months = close.index.to_period("M")
    first = np.flatnonzero(np.r_[False, months[1:] != months[:-1]])
    weights = np.full((len(close), len(lookbacks) * len(top_n), close.shape[1]), np.nan)
    for i, lookback in enumerate(lookbacks):
        known = close.pct_change(lookback, fill_method=None).to_numpy()[first - 1]
        order = np.argsort(np.argsort(-np.nan_to_num(known, nan=-np.inf), kind="stable"))
        for j, n in enumerate(top_n):
            chosen = (order < n) & ~np.isnan(known)
            share = chosen / np.maximum(chosen.sum(axis=1, keepdims=True), 1)
            weights[first, i * len(top_n) + j] = share
    return weights.reshape(len(close), -1)


def sweep(open_, close, start, lookbacks, top_n):
    variants = pd.MultiIndex.from_product([lookbacks, top_n], names=["lookback", "top_n"])
    columns = pd.MultiIndex.from_tuples(
        [(*variant, symbol) for variant in variants for symbol in close.columns],
        names=["lookback", "top_n", "symbol"],
    )
    simulated = close.index >= pd.Timestamp(start)
    weights = target_weights(close, lookbacks, top_n)[simulated]
    open_, close = open_[simulated], close[simulated]
    portfolio = vbt.Portfolio.from_orders(
        pd.DataFrame(np.tile(close.to_numpy(), len(variants)), index=close.index, columns=columns),
        size=weights,
        size_type="targetpercent",
        price=np.tile(open_.to_numpy(), len(variants)),
        group_by=["lookback", "top_n"],
        cash_sharing=True,
        call_seq="auto",
        fees=FEES,
        slippage=SLIPPAGE,
        init_cash=CAPITAL_CNY,
        freq="1D",
    )
    return pd.DataFrame(
        {
            "total_return": portfolio.total_return(),
            "sharpe": portfolio.sharpe_ratio(),
            "max_drawdown": portfolio.max_drawdown(),
        }
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("raw_root")
    parser.add_argument("seeds")
    parser.add_argument("pool")
    parser.add_argument("start", help="first session of the simulation, YYYY-MM-DD")
    parser.add_argument("--engine", default="auto", choices=["auto", "numba", "rust"])
    given = parser.parse_args()
    vbt.settings["engine"] = given.engine
    pool = bars.pools(given.seeds)
    b = bars.read(given.raw_root, given.seeds)
    b = bars.only(b, {symbol for symbol in b.symbols if pool.get(symbol) == given.pool})
    open_, close = matrices(b)
    sweep(open_, close, given.start, LOOKBACKS[:2], TOP_N[:2])  # compiles
    watch = bars.Stopwatch()
    results = sweep(open_, close, given.start, LOOKBACKS, TOP_N)
    watch.lap("sweep")
    watch.report(
        ["vectorbt", "vectorbt-rust", "numba"],
        variants=len(results),
        sessions=int((close.index >= pd.Timestamp(given.start)).sum()),
        funds=close.shape[1],
        best_sharpe=float(results["sharpe"].max()),
        median_return=float(results["total_return"].median()),
    )


if __name__ == "__main__":
    main()
