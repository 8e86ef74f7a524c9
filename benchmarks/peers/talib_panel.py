"""The panel by TA-Lib and numpy, fund by fund, in one process, to one parquet file.

TA-Lib's functions wherever it has one, also for rolling sums, extremes and slopes, for they are
its fastest part; numpy on whole arrays for the rest. Rolling sums run on from bar to bar, as
TA-Lib's do: quick, and less exact than windows computed afresh.
"""

import bars
import numpy as np
import pyarrow as pa
import talib

ROW_GROUP = 61_440
MIN_FUNDS = 3
MACD = [(12, 26, 9), (16, 34, 7), (20, 42, 8), (5, 35, 5)]
LEVELS = [30, 40, 50, 60, 80, 100, 120, 150, 200, 252]
RSI = [6, 9, 12, 14, 20, 24, 30, 60]
ATR = [7, 10, 14, 20, 30, 60]
ZERO_RETURN_DEVIATION = 1e-15


def lag(x, n=1):
    out = np.full(len(x), np.nan)
    out[n:] = x[:-n]
    return out


def ratio(numerator, denominator):
    return np.divide(
        numerator, denominator, out=np.full(len(numerator), np.nan), where=denominator != 0
    )


def total(x, n):
    """Rolling sum, NaN where the window holds one; TA-Lib's would stay NaN for ever after."""
    missing = np.isnan(x)
    # A series may begin with NaN: TA-Lib starts behind it.
    if not missing[missing.argmin() :].any():
        return talib.SUM(x, n)
    out = talib.SUM(np.where(missing, 0.0, x), n)
    count = np.cumsum(missing)
    count[n:] = count[n:] - count[:-n]
    out[count > 0] = np.nan
    return out


def mean(x, n):
    return total(x, n) / n


def centered(x):
    present = x[~np.isnan(x)]
    return x - present.mean() if len(present) else x


def squares(x, n):
    """Rolling sum of squared deviations, zero where what is left is rounding."""
    # The shift to about zero keeps most of the digits that the subtraction takes.
    x = centered(x)
    of_squares = total(x * x, n)
    out = of_squares - total(x, n) ** 2 / n
    out[out < 1e-13 * of_squares] = 0.0
    return out


def products(x, y, n):
    """Rolling sum of products of deviations."""
    x, y = centered(x), centered(y)
    return total(x * y, n) - total(x, n) * total(y, n) / n


def max_drawdown(c, n):
    out = np.full(len(c), np.nan)
    if len(c) >= n:
        count = len(c) - n + 1
        peak, worst = c[:count].copy(), np.ones(count)
        for age in range(1, n):
            here = c[age : age + count]
            np.maximum(peak, here, out=peak)
            np.minimum(worst, here / peak, out=worst)
        out[n - 1 :] = worst - 1
    return out


def factors(o, h, l, c, v, a, m, pool_ret_20, pool_ret_60):  # noqa: E741
    """All factors of one fund by name; m is the pool's mean return of the day."""
    drawdown_60 = max_drawdown(c, 60)
    return (
        trend(h, l, c)
        | momentum(o, h, l, c, drawdown_60)
        | volatility(o, h, l, c, drawdown_60)
        | volume(h, l, c, v, a)
        | cross_section(c, m, pool_ret_20, pool_ret_60)
    )


def trend(h, l, c):  # noqa: E741
    f = {f"sma_{n}": talib.SMA(c, n) for n in [5, 10, 15, 20, 25, *LEVELS]}
    f |= {f"ema_{n}": talib.EMA(c, n) for n in [5, 10, 12, 20, 26, *LEVELS]}
    for n in [5, 10, 20, 60, 120, 252]:
        f[f"bias_{n}"] = c / (f[f"sma_{n}"] if f"sma_{n}" in f else talib.SMA(c, n)) - 1
    log_c = np.log(c)
    for n in [20, 25, 60, 120]:
        slope = talib.LINEARREG_SLOPE(log_c, n)
        r2 = ratio(slope**2 * (n * (n * n - 1) / 12), squares(log_c, n))
        if n != 25:
            f |= {f"slope_{n}": slope, f"r2_{n}": r2}
        if n != 120:
            f[f"momentum_score_{n}"] = (np.exp(252 * slope) - 1) * r2
    f["adx_14"] = talib.ADX(h, l, c, 14)
    f["plus_di_14"], f["minus_di_14"] = talib.PLUS_DI(h, l, c, 14), talib.MINUS_DI(h, l, c, 14)
    true_range = total(talib.TRANGE(h, l, c), 14)
    f["vortex_plus_14"] = ratio(total(np.abs(h - lag(l)), 14), true_range)
    f["vortex_minus_14"] = ratio(total(np.abs(l - lag(h)), 14), true_range)
    f["aroon_down_25"], f["aroon_up_25"] = talib.AROON(h, l, 25)
    f |= {f"breakout_{n}": c / lag(talib.MAX(h, n)) - 1 for n in [20, 60]}
    path = np.abs(c - lag(c))
    for n in [10, 20, 60]:
        f[f"efficiency_ratio_{n}"] = ratio(np.abs(c - lag(c, n)), total(path, n))
    f["kama_10"], f["trix_15"] = talib.KAMA(c, 10), talib.TRIX(c, 15)
    beta = ratio(products(l, h, 18), squares(l, 18))
    f["rsrs_beta_18"] = beta
    f["rsrs_zscore_18_250"] = ratio(beta - mean(beta, 250), np.sqrt(squares(beta, 250) / 249))
    return f


def momentum(o, h, l, c, drawdown_60):  # noqa: E741
    f = {}
    for fast, slow, signal in MACD:
        p = f"{fast}_{slow}_{signal}"
        f[f"macd_{p}"], f[f"macd_signal_{p}"], f[f"macd_hist_{p}"] = talib.MACD(
            c, fast, slow, signal
        )
        difference = talib.SMA(c, fast) - talib.SMA(c, slow)
        average = talib.SMA(difference, signal)
        f[f"macd_sma_{p}"], f[f"macd_sma_signal_{p}"] = difference, average
        f[f"macd_sma_hist_{p}"] = difference - average
    f |= {f"rsi_{n}": talib.RSI(c, n) for n in RSI}
    change = c - lag(c)
    gain, move = np.maximum(change, 0), np.abs(change)
    for n in RSI:
        f[f"rsi_sma_{n}"] = 100 * ratio(total(gain, n), total(move, n))
    for n in [5, 9, 14, 20, 10, 30, 60, 120]:
        lowest = talib.MIN(l, n)
        position = ratio(c - lowest, talib.MAX(h, n) - lowest)
        if n in [5, 9, 14, 20]:
            f[f"stoch_k_{n}"] = 100 * position
            f |= {f"stoch_d_{n}_{d}": mean(100 * position, d) for d in [3, 5]}
        else:
            f[f"price_position_{n}"] = position
    f |= {f"ret_{n}": talib.ROCP(c, n) for n in [1, 2, 3, 5, 10, 20, 30, 60, 63, 120, 126, 252]}
    f |= {f"drawdown_{n}": c / talib.MAX(c, n) - 1 for n in [20, 63, 126, 252]}
    r = f["ret_1"]
    for n in [20, 60, 120]:
        f[f"sharpe_{n}"] = np.sqrt(252) * ratio(mean(r, n), deviation(r, n))
    f["calmar_60"] = ratio(f["ret_60"], np.abs(drawdown_60))
    f["momentum_acceleration_20_60"] = f["ret_20"] - f["ret_60"] / 3
    f["overnight_ret_20"] = total(o / lag(c) - 1, 20)
    f["intraday_ret_20"] = total(c / o - 1, 20)
    f |= {f"cci_{n}": talib.CCI(h, l, c, n) for n in [14, 20]}
    return f


def deviation(r, n):
    """Rolling standard deviation (ddof 1) of returns."""
    sd = np.sqrt(squares(r, n) / (n - 1))
    sd[sd <= ZERO_RETURN_DEVIATION] = 0.0
    return sd


def volatility(o, h, l, c, drawdown_60):  # noqa: E741
    f = {}
    for n in [10, 15, 20, 25, 30, 40, 50]:
        for name, k in [("1p5", 1.5), ("2p0", 2.0), ("2p5", 2.5)]:
            upper, middle, lower = talib.BBANDS(c, n, k, k)
            f[f"bb_upper_{n}_{name}"], f[f"bb_lower_{n}_{name}"] = upper, lower
            f[f"bb_width_{n}_{name}"] = (upper - lower) / middle
            f[f"bb_percent_b_{n}_{name}"] = ratio(c - lower, upper - lower)
    f |= {f"atr_{n}": talib.ATR(h, l, c, n) for n in ATR}
    true_range = talib.TRANGE(h, l, c)
    true_range[0] = h[0] - l[0]
    f |= {f"atr_sma_{n}": talib.SMA(true_range, n) for n in ATR}
    f["natr_14"] = talib.NATR(h, l, c, 14)
    r = talib.ROCP(c, 1)
    f |= {f"volatility_{n}": deviation(r, n) for n in [5, 10, 20, 30, 60, 120]}
    loss = np.minimum(r, 0) ** 2
    f |= {f"downside_volatility_{n}": np.sqrt(mean(loss, n)) for n in [20, 60]}
    f["volatility_ratio_20_60"] = ratio(f["volatility_20"], f["volatility_60"])
    log_range, log_body = np.log(h / l) ** 2, np.log(c / o) ** 2
    f["parkinson_volatility_20"] = np.sqrt(mean(log_range, 20) / (4 * np.log(2)))
    f["garman_klass_volatility_20"] = np.sqrt(
        mean(log_range / 2 - (2 * np.log(2) - 1) * log_body, 20)
    )
    powers = [r, r * r, r * r * r, r * r * r * r]
    for n in [20, 60]:
        m1, m2, m3 = (mean(x, n) for x in powers[:3])
        third = m3 - 3 * m1 * m2 + 2 * m1**3
        f[f"skewness_{n}"] = (
            np.sqrt(n * (n - 1)) / (n - 2) * ratio(third, (squares(r, n) / n) ** 1.5)
        )
    m1, m2, m3, m4 = (mean(x, 60) for x in powers)
    fourth = m4 - 4 * m1 * m3 + 6 * m1**2 * m2 - 3 * m1**4
    f["kurtosis_60"] = 59 * (61 * ratio(fourth, (squares(r, 60) / 60) ** 2) - 3 * 59) / (58 * 57)
    f["max_drawdown_60"], f["max_drawdown_120"] = drawdown_60, max_drawdown(c, 120)
    return f


def volume(h, l, c, v, a):  # noqa: E741
    r = talib.ROCP(c, 1)
    f = {"obv": talib.OBV(c, v), "mfi_14": talib.MFI(h, l, c, v, 14)}
    f |= {f"volume_ratio_{n}": ratio(v, talib.SMA(v, n)) for n in [5, 10, 20, 30]}
    f["obv_slope_10"] = ratio(talib.LINEARREG_SLOPE(f["obv"], 10), talib.SMA(v, 20))
    up, down = np.where(r > 0, v, 0.0), np.where(r < 0, v, 0.0)
    up[:1] = down[:1] = np.nan
    f["up_down_volume_ratio_20"] = ratio(total(up, 20), total(down, 20))
    flow = np.nan_to_num(ratio((c - l) - (h - c), h - l)) * v
    f["cmf_20"] = ratio(total(flow, 20), total(v, 20))
    f["price_volume_corr_20"] = talib.CORREL(c, v, 20)
    f["return_volume_corr_20"] = talib.CORREL(r, talib.ROCP(v, 1), 20)
    f["amihud_20"] = mean(ratio(np.abs(r), a), 20) * 1e8
    f["volume_zscore_20"] = ratio(v - talib.SMA(v, 20), np.sqrt(squares(v, 20) / 19))
    f["amount_ratio_5_20"] = ratio(talib.SMA(a, 5), talib.SMA(a, 20))
    f["vwap_bias_20"] = ratio(c, ratio(total(a, 20), total(v, 20))) - 1
    return f


def cross_section(c, m, pool_ret_20, pool_ret_60):
    r = talib.ROCP(c, 1)
    f = {}
    if np.isnan(m).all():
        f |= dict.fromkeys(
            ["market_beta_60", "market_corr_60", "residual_volatility_60"], np.full(len(c), np.nan)
        )
    else:
        r_m, m_m = products(np.where(np.isnan(m), np.nan, r), m, 60), squares(m, 60)
        r_r = squares(np.where(np.isnan(m), np.nan, r), 60)
        f["market_beta_60"] = ratio(r_m, m_m)
        f["market_corr_60"] = ratio(r_m, np.sqrt(r_r * m_m))
        rest = np.maximum(r_r - f["market_beta_60"] * r_m, 0)
        f["residual_volatility_60"] = np.sqrt(rest / 59)
    f["relative_strength_20"] = talib.ROCP(c, 20) - pool_ret_20
    f["relative_strength_60"] = talib.ROCP(c, 60) - pool_ret_60
    return f


def pool_means(b, pools):
    """Mean 1, 20 and 60 bar return of the pool on the date of each row, three arrays."""
    names = sorted({pools.get(symbol, "MARKET") for symbol in b.symbols})
    pool = np.repeat(
        [names.index(pools.get(symbol, "MARKET")) for symbol in b.symbols], np.diff(b.starts)
    )
    dates, day = np.unique(b.date, return_inverse=True)
    key = pool * len(dates) + day
    out = []
    for n in [1, 20, 60]:
        x = np.concatenate([talib.ROCP(b.close[rows], n) for rows in b.slices()])
        present = ~np.isnan(x)
        count = np.bincount(key, weights=present)
        sums = np.bincount(key, weights=np.where(present, x, 0.0))
        means = np.full(len(sums), np.nan)
        np.divide(sums, count, out=means, where=count >= MIN_FUNDS)
        out.append(means[key])
    return out


def write_panel(b, pools, path):
    """Compute and write; row groups of many funds, uncompressed and without dictionaries."""
    means = pool_means(b, pools)
    symbols = pa.array(b.symbols)
    fund_of_row = np.repeat(np.arange(len(b.symbols)), np.diff(b.starts))
    writer, names, values, first = None, None, None, 0
    for number, rows in enumerate(b.slices()):
        series = [b.open, b.high, b.low, b.close, b.volume, b.amount, *means]
        computed = factors(*(x[rows] for x in series))
        if values is None:
            names = list(computed)
            # A fund is never split: room for a group, and for one fund more.
            values = np.empty((len(names), ROW_GROUP + int(np.diff(b.starts).max())))
        for row, x in enumerate(computed.values()):
            values[row, rows.start - first : rows.stop - first] = x
        if rows.stop - first >= ROW_GROUP or number == len(b.symbols) - 1:
            taken = slice(first, rows.stop)
            table = pa.table(
                {
                    "symbol": symbols.take(pa.array(fund_of_row[taken])),
                    "trade_date": pa.array(b.date[taken]),
                    **{name: values[row, : rows.stop - first] for row, name in enumerate(names)},
                }
            )
            if writer is None:
                writer = bars.panel_writer(path, table.schema)
            writer.write_table(table, row_group_size=len(table))
            first = rows.stop
    writer.close()
    return names


def main():
    given = bars.panel_arguments(__doc__).parse_args()
    np.seterr(divide="ignore", invalid="ignore")
    watch = bars.Stopwatch()
    b = bars.read(given.raw_root, given.seeds)
    watch.lap("read")
    names = write_panel(b, bars.pools(given.seeds), given.parquet)
    watch.lap("panel")
    watch.report(["TA-Lib", "numpy", "pyarrow"], bars=len(b.date), columns=len(names))


if __name__ == "__main__":
    main()
