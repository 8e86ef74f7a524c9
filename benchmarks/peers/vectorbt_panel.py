"""The original system's 209 columns by vectorbt and TA-Lib over a matrix of dates and funds.

Column names are those of the seed legacy_ids. Its vectorbt Bollinger bands are left out: they are
the 105 of 314 that the original lost.
"""

import bars
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import vectorbt as vbt

LEVELS = [5, 10, 20, 30, 40, 50, 60, 80, 100, 120, 150, 200, 252]
VBT_EMA = [5, 10, 12, 20, 26, 30, 40, 50, 60, 80, 100, 120]
MACD = [(12, 26, 9), (16, 34, 7), (20, 42, 8), (5, 35, 5)]
RSI = [6, 9, 12, 14, 20, 24, 30, 60]
ATR = [7, 10, 14, 20, 30, 60]
BANDS = [(n, k) for n in [10, 15, 20, 25, 30, 40, 50] for k in [1.5, 2.0, 2.5]]
STOCH = [(k, d) for k in [5, 9, 14, 20] for d in [3, 5]]


def matrices(b):
    """Return open … volume as frames (dates, funds), and the position of each bar in them.

    A session without a trade repeats the close before it, without volume; before a fund's first
    bar and after its last there is nothing.
    """
    dates, day = np.unique(b.date, return_inverse=True)
    fund = np.repeat(np.arange(len(b.symbols)), np.diff(b.starts))
    index = pd.to_datetime(dates.astype(str), format="%Y%m%d")

    def frame(x):
        values = np.full((len(dates), len(b.symbols)), np.nan)
        values[day, fund] = x
        return pd.DataFrame(values, index=index, columns=b.symbols)

    close = frame(b.close)
    listed = close.bfill().notna()
    held = close.ffill().where(listed)
    prices = [frame(x).fillna(held) for x in (b.high, b.low)]
    return *prices, held, frame(b.volume).fillna(held * 0), (day, fund)


def indicators(high, low, close, volume):
    """Yield names and values, (dates, funds) one after the other, indicator by indicator."""
    hlc = (high, low, close)
    yield from outputs("VBT_MA_{}", LEVELS, vbt.MA.run(close, LEVELS).ma)
    yield from outputs("VBT_EMA_{}", VBT_EMA, vbt.MA.run(close, VBT_EMA, ewm=True).ma)
    fast, slow, signal = (list(x) for x in zip(*MACD, strict=True))
    macd = vbt.MACD.run(close, fast, slow, signal)
    for name, x in [("", macd.macd), ("SIGNAL_", macd.signal), ("HIST_", macd.hist)]:
        yield from outputs(f"VBT_MACD_{name}{{}}_{{}}_{{}}", MACD, x)
    yield from outputs("VBT_RSI_{}", RSI, vbt.RSI.run(close, RSI).rsi)
    ks, ds = (list(x) for x in zip(*STOCH, strict=True))
    stoch = vbt.STOCH.run(*hlc, ks, ds)
    yield from outputs("VBT_STOCH_K_{}_{}", STOCH, stoch.percent_k)
    yield from outputs("VBT_STOCH_D_{}_{}", STOCH, stoch.percent_d)
    yield from outputs("VBT_ATR_{}", ATR, vbt.ATR.run(*hlc, ATR, ewm=False).atr)
    yield "VBT_OBV", vbt.OBV.run(close, volume).obv.to_numpy()

    yield from outputs("TA_SMA_{}", LEVELS, vbt.talib("SMA").run(close, LEVELS).real)
    yield from outputs("TA_EMA_{}", LEVELS, vbt.talib("EMA").run(close, LEVELS).real)
    macd = vbt.talib("MACD").run(close, fast, slow, signal)
    for name, x in [("", macd.macd), ("SIGNAL_", macd.macdsignal), ("HIST_", macd.macdhist)]:
        yield from outputs(f"TA_MACD_{name}{{}}_{{}}_{{}}", MACD, x)
    yield from outputs("TA_RSI_{}", RSI, vbt.talib("RSI").run(close, RSI).real)
    yield from outputs("TA_ATR_{}", ATR, vbt.talib("ATR").run(*hlc, ATR).real)
    ns, ks = (list(x) for x in zip(*BANDS, strict=True))
    bands = vbt.talib("BBANDS").run(close, ns, ks, ks)
    for name, x in [
        ("UPPER", bands.upperband),
        ("MIDDLE", bands.middleband),
        ("LOWER", bands.lowerband),
    ]:
        yield from outputs(f"TA_BB_{name}_{{}}_{{}}", BANDS, x)
    yield "TA_OBV", vbt.talib("OBV").run(close, volume).real.to_numpy()

    returns = close.vbt.pct_change()
    for n in [1, 2, 3, 5, 10, 20, 30, 60]:
        yield f"RETURN_{n}", close.vbt.pct_change(n).to_numpy()
    for n in [5, 10, 20, 30, 60]:
        yield f"VOLATILITY_{n}", returns.vbt.rolling_std(n, ddof=1).to_numpy()
    for n in [10, 20, 30, 60]:
        lowest, highest = low.vbt.rolling_min(n), high.vbt.rolling_max(n)
        yield f"PRICE_POSITION_{n}", ((close - lowest) / (highest - lowest)).to_numpy()
    for n in [5, 10, 20, 30]:
        yield f"VOLUME_RATIO_{n}", (volume / volume.vbt.rolling_mean(n)).to_numpy()
    for n in [5, 10, 20, 30]:
        yield f"MOMENTUM_{n}", (close / close.vbt.fshift(n) - 1).to_numpy()


def outputs(name, parameters, frame):
    """Cut what one run gave for a list of parameters into one matrix for each."""
    values = frame.to_numpy()
    width = values.shape[1] // len(parameters)
    for i, given in enumerate(parameters):
        several = given if isinstance(given, tuple) else (given,)
        yield name.format(*several), values[:, i * width : (i + 1) * width]


def write_panel(b, path):
    *frames, (day, fund) = matrices(b)
    columns = {name: x[day, fund] for name, x in indicators(*frames)}
    table = pa.table(
        {
            "symbol": pa.array(b.symbols).take(pa.array(fund)),
            "trade_date": pa.array(b.date),
            **columns,
        }
    )
    pq.write_table(
        table,
        path,
        compression="none",
        use_dictionary=False,
        write_statistics=False,
        row_group_size=61_440,
    )
    return len(columns)


def main():
    parser = bars.panel_arguments(__doc__)
    parser.add_argument("--engine", default="auto", choices=["auto", "numba", "rust"])
    given = parser.parse_args()
    np.seterr(divide="ignore", invalid="ignore")
    vbt.settings["engine"] = given.engine
    compile_first()
    watch = bars.Stopwatch()
    b = bars.read(given.raw_root, given.seeds)
    watch.lap("read")
    count = write_panel(b, given.parquet)
    watch.lap("panel")
    watch.report(
        ["vectorbt", "vectorbt-rust", "numba", "TA-Lib", "numpy", "pandas"],
        bars=len(b.date),
        columns=count,
    )


def compile_first():
    """Run every indicator once on little: compiling is not what is measured."""
    index = pd.date_range("2020-01-01", periods=300)
    rng = np.random.default_rng(0)
    close = pd.DataFrame(5 + rng.random((300, 2)), index=index, columns=["A", "B"])
    for _ in indicators(close + 1, close - 1, close, close):
        pass


if __name__ == "__main__":
    main()
