"""The panel by polars and polars-talib, all funds in one table, to one parquet file.

TA-Lib's functions, by fund, where polars has none of its own; polars' rolling functions, by fund,
for the rest. Expressions of one layer run in parallel; each layer reads the one before it.
"""

import math

import bars
import numpy as np
import polars as pl
import polars_talib as plta

ROW_GROUP = 61_440
MIN_FUNDS = 3
MACD = [(12, 26, 9), (16, 34, 7), (20, 42, 8), (5, 35, 5)]
LEVELS = [30, 40, 50, 60, 80, 100, 120, 150, 200, 252]
SMA, EMA = [5, 10, 15, 20, 25, *LEVELS], [5, 10, 12, 20, 26, *LEVELS]
RSI = [6, 9, 12, 14, 20, 24, 30, 60]
ATR = [7, 10, 14, 20, 30, 60]
BANDS = [
    (n, k, f"{n}_{name}")
    for n in [10, 15, 20, 25, 30, 40, 50]
    for name, k in [("1p5", 1.5), ("2p0", 2.0), ("2p5", 2.5)]
]
RETURNS, POOL_RETURNS = [1, 2, 3, 5, 10, 20, 30, 60, 63, 120, 126, 252], [1, 20, 60]
STOCH, POSITION = [5, 9, 14, 20], [10, 30, 60, 120]
SLOPE = [20, 25, 60, 120]
ZERO_RETURN_DEVIATION = 1e-15
ZERO_SQUARES = 1e-13  # of the squares from which they are left: what is below is rounding

o, h, l, c, v, a = map(pl.col, ["open", "high", "low", "close", "volume", "amount"])  # noqa: E741
r = pl.col("ret_1")
col = pl.col


def by_fund(x):
    return x.over("fund")


def ta(x):
    """By fund, with null where TA-Lib has NaN: polars' rolling functions know nulls."""
    return by_fund(x).fill_nan(None)


def lag(x, n=1):
    return by_fund(x.shift(n))


def total(x, n):
    return by_fund(x.rolling_sum(n))


def mean(x, n):
    return by_fund(x.rolling_mean(n))


def ratio(numerator, denominator):
    return pl.when(denominator != 0).then(numerator / denominator)


def root(x):
    """Square root, zero where rounding left less than that."""
    return x.clip(lower_bound=0.0).sqrt()


def squares(x, n):
    """Rolling sum of squared deviations, zero where what is left is rounding."""
    return by_fund(_squares(x - x.mean(), n))


def _squares(x, n):
    left = x.rolling_var(n) * (n - 1)
    return pl.when(left < ZERO_SQUARES * (x * x).rolling_sum(n)).then(0.0).otherwise(left)


def products(x, y, n):
    """Rolling sum of products of deviations."""
    x, y = x - x.mean(), y - y.mean()
    return by_fund((x * y).rolling_sum(n) - x.rolling_sum(n) * y.rolling_sum(n) / n)


def deviation(x, n):
    """Rolling standard deviation (ddof 1) of returns."""
    sd = x.rolling_std(n)
    return by_fund(pl.when(sd <= ZERO_RETURN_DEVIATION).then(0.0).otherwise(sd))


def bars_layer():
    """Return what the next layers share; names of one underscore are no factors."""
    true_range = by_fund(plta.trange(h, l, c))
    change = c - lag(c)
    return {f"ret_{n}": c / lag(c, n) - 1 for n in RETURNS} | {
        "_log_c": c.log(),
        "_true_range": true_range.fill_nan(None),
        "_true_range_0": true_range.fill_nan(h - l),
        "_gain": pl.when(change > 0).then(change).when(change.is_not_null()).then(0.0),
        "_move": change.abs(),
        "_up": (h - lag(l)).abs(),
        "_down": (l - lag(h)).abs(),
        "_overnight": o / lag(c) - 1,
        "_intraday": c / o - 1,
        "_range_2": (h / l).log() ** 2,
        "_body_2": (c / o).log() ** 2,
        "_volume_ret": v / lag(v) - 1,
        "_flow": pl.when(h != l).then(((c - l) - (h - c)) / (h - l)).otherwise(0.0) * v,
        "obv": ta(plta.obv(c, v)),
    }


def windows_layer():
    """Return the functions of TA-Lib and of windows over the bars and their changes."""
    f = {f"sma_{n}": ta(plta.sma(c, n)) for n in SMA}
    f |= {f"ema_{n}": ta(plta.ema(c, n)) for n in EMA}
    f |= {f"_slope_{n}": ta(plta.linearreg_slope(col("_log_c"), n)) for n in SLOPE}
    f |= {f"_log_squares_{n}": squares(col("_log_c"), n) for n in SLOPE}
    f |= {"adx_14": ta(plta.adx(h, l, c, 14)), "kama_10": ta(plta.kama(c, 10))}
    f |= {"plus_di_14": ta(plta.plus_di(h, l, c, 14)), "trix_15": ta(plta.trix(c, 15))}
    f |= {"minus_di_14": ta(plta.minus_di(h, l, c, 14)), "_aroon": by_fund(plta.aroon(h, l, 25))}
    f |= {f"breakout_{n}": c / by_fund(h.rolling_max(n).shift(1)) - 1 for n in [20, 60]}
    f["_beta_products"], f["_beta_squares"] = products(l, h, 18), squares(l, 18)
    for fast, slow, signal in MACD:
        f[f"_macd_{fast}_{slow}_{signal}"] = by_fund(plta.macd(c, fast, slow, signal))
    f |= {f"rsi_{n}": ta(plta.rsi(c, n)) for n in RSI}
    f |= {f"_lowest_{n}": by_fund(l.rolling_min(n)) for n in STOCH + POSITION}
    f |= {f"_highest_{n}": by_fund(h.rolling_max(n)) for n in STOCH + POSITION}
    f |= {f"drawdown_{n}": c / by_fund(c.rolling_max(n)) - 1 for n in [20, 63, 126, 252]}
    f |= {f"cci_{n}": ta(plta.cci(h, l, c, n)) for n in [14, 20]}
    f |= {f"_bands_{name}": by_fund(plta.bbands(c, n, k, k)) for n, k, name in BANDS}
    f |= {f"atr_{n}": ta(plta.atr(h, l, c, n)) for n in ATR}
    f |= {f"atr_sma_{n}": mean(col("_true_range_0"), n) for n in ATR}
    f["natr_14"], f["mfi_14"] = ta(plta.natr(h, l, c, 14)), ta(plta.mfi(h, l, c, v, 14))
    f |= {f"volatility_{n}": deviation(r, n) for n in [5, 10, 20, 30, 60, 120]}
    f |= {f"_mean_ret_{n}": mean(r, n) for n in [20, 60, 120]}
    f |= {f"skewness_{n}": by_fund(r.rolling_skew(n, bias=False)) for n in [20, 60]}
    f["kurtosis_60"] = by_fund(r.rolling_kurtosis(60, bias=False))
    f["price_volume_corr_20"] = ta(plta.correl(c, v, 20))
    f["return_volume_corr_20"] = ta(plta.correl(r, col("_volume_ret"), 20))
    f |= {f"_mean_volume_{n}": mean(v, n) for n in [5, 10, 20, 30]}
    f |= {f"_mean_amount_{n}": mean(a, n) for n in [5, 20]}
    f["_volume_squares"] = squares(v, 20)
    f["_obv_slope"] = ta(plta.linearreg_slope(col("obv"), 10))
    return f


def market(name):
    """Return the mean of a return over the pool on the date, null with few funds."""
    x = col(name)
    return pl.when(x.count() >= MIN_FUNDS).then(x.mean()).over("pool", "trade_date")


def factors_layer():
    """Return the factors that are made of the windows, and what the last layer needs."""
    return trend() | momentum() | volatility() | volume() | cross_section()


def trend():
    f = {f"bias_{n}": c / col(f"sma_{n}") - 1 for n in [5, 10, 20, 60, 120, 252]}
    for n in SLOPE:
        slope = col(f"_slope_{n}")
        r2 = ratio(slope**2 * (n * (n * n - 1) / 12), col(f"_log_squares_{n}"))
        if n != 25:  # noqa: PLR2004
            f |= {f"slope_{n}": slope, f"r2_{n}": r2}
        if n != 120:  # noqa: PLR2004
            f[f"momentum_score_{n}"] = ((252 * slope).exp() - 1) * r2
    true_range = total(col("_true_range"), 14)
    f["vortex_plus_14"] = ratio(total(col("_up"), 14), true_range)
    f["vortex_minus_14"] = ratio(total(col("_down"), 14), true_range)
    for side in ["down", "up"]:
        f[f"aroon_{side}_25"] = col("_aroon").struct.field(f"aroon{side}")
    for n in [10, 20, 60]:
        f[f"efficiency_ratio_{n}"] = ratio((c - lag(c, n)).abs(), total(col("_move"), n))
    f["rsrs_beta_18"] = ratio(col("_beta_products"), col("_beta_squares"))
    return f


def momentum():
    f = {}
    for fast, slow, signal in MACD:
        p = f"{fast}_{slow}_{signal}"
        for name in ["", "signal", "hist"]:
            factor = f"macd_{name}_{p}" if name else f"macd_{p}"
            f[factor] = col(f"_macd_{p}").struct.field(f"macd{name}")
        averages = [
            col(f"sma_{n}") if n in SMA else by_fund(c.rolling_mean(n)) for n in (fast, slow)
        ]
        f[f"macd_sma_{p}"] = averages[0] - averages[1]
    for n in RSI:
        f[f"rsi_sma_{n}"] = 100 * ratio(total(col("_gain"), n), total(col("_move"), n))
    for n in STOCH + POSITION:
        lowest = col(f"_lowest_{n}")
        position = ratio(c - lowest, col(f"_highest_{n}") - lowest)
        f |= {f"stoch_k_{n}": 100 * position} if n in STOCH else {f"price_position_{n}": position}
    for n in [20, 60, 120]:
        f[f"sharpe_{n}"] = math.sqrt(252) * ratio(col(f"_mean_ret_{n}"), col(f"volatility_{n}"))
    f["momentum_acceleration_20_60"] = col("ret_20") - col("ret_60") / 3
    f["overnight_ret_20"] = total(col("_overnight"), 20)
    f["intraday_ret_20"] = total(col("_intraday"), 20)
    return f


def volatility():
    f = {}
    for _, _, name in BANDS:
        upper, middle, lower = (
            col(f"_bands_{name}").struct.field(f"{x}band") for x in ["upper", "middle", "lower"]
        )
        f |= {f"bb_upper_{name}": upper, f"bb_lower_{name}": lower}
        f[f"bb_width_{name}"] = (upper - lower) / middle
        f[f"bb_percent_b_{name}"] = ratio(c - lower, upper - lower)
    loss = pl.min_horizontal(r, 0.0) ** 2
    loss = pl.when(r.is_not_null()).then(loss)
    f |= {f"downside_volatility_{n}": root(mean(loss, n)) for n in [20, 60]}
    f["volatility_ratio_20_60"] = ratio(col("volatility_20"), col("volatility_60"))
    range_2, body_2 = col("_range_2"), col("_body_2")
    f["parkinson_volatility_20"] = root(mean(range_2, 20) / (4 * math.log(2)))
    f["garman_klass_volatility_20"] = root(mean(range_2 / 2 - (2 * math.log(2) - 1) * body_2, 20))
    return f


def volume():
    f = {f"volume_ratio_{n}": ratio(v, col(f"_mean_volume_{n}")) for n in [5, 10, 20, 30]}
    f["obv_slope_10"] = ratio(col("_obv_slope"), col("_mean_volume_20"))
    up, down = (pl.when(moved).then(v).when(r.is_not_null()).then(0.0) for moved in (r > 0, r < 0))
    f["up_down_volume_ratio_20"] = ratio(total(up, 20), total(down, 20))
    traded = total(v, 20)
    f["cmf_20"] = ratio(total(col("_flow"), 20), traded)
    f["amihud_20"] = mean(ratio(r.abs(), a), 20) * 1e8
    f["volume_zscore_20"] = ratio(v - col("_mean_volume_20"), (col("_volume_squares") / 19).sqrt())
    f["amount_ratio_5_20"] = ratio(col("_mean_amount_5"), col("_mean_amount_20"))
    f["vwap_bias_20"] = ratio(c, ratio(total(a, 20), traded)) - 1
    return f


def cross_section():
    m = col("_market_ret_1")
    x = pl.when(m.is_not_null()).then(r)
    r_m, m_m, r_r = products(x, m, 60), squares(m, 60), squares(x, 60)
    beta = ratio(r_m, m_m)
    return {
        "market_beta_60": beta,
        "market_corr_60": ratio(r_m, (r_r * m_m).sqrt()),
        "residual_volatility_60": root((r_r - beta * r_m) / 59),
        "relative_strength_20": col("ret_20") - col("_market_ret_20"),
        "relative_strength_60": col("ret_60") - col("_market_ret_60"),
    }


def last_layer():
    """Return the factors that are windows over other factors."""
    f = {}
    for fast, slow, signal in MACD:
        p = f"{fast}_{slow}_{signal}"
        average = mean(col(f"macd_sma_{p}"), signal)
        f |= {f"macd_sma_signal_{p}": average, f"macd_sma_hist_{p}": col(f"macd_sma_{p}") - average}
    f |= {f"stoch_d_{n}_{d}": mean(col(f"stoch_k_{n}"), d) for n in STOCH for d in [3, 5]}
    beta = col("rsrs_beta_18")
    spread = (squares(beta, 250) / 249).sqrt()
    f["rsrs_zscore_18_250"] = ratio(beta - mean(beta, 250), spread)
    f["calmar_60"] = ratio(col("ret_60"), col("max_drawdown_60").abs())
    return f


def with_max_drawdowns(frame):
    """Add the largest drawdowns of 60 and 120 bars.

    A window is put together from an older and a newer one: its lowest ratio of a close to one
    before it lies in one of the two, or is the newer one's lowest close to the older's highest.
    """

    def joined(older, newer):
        worst = pl.min_horizontal(
            lag(col(f"_worst_{older}"), newer),
            col(f"_worst_{newer}"),
            by_fund(c.rolling_min(newer) / c.rolling_max(older).shift(newer)),
        )
        # The least of several is not null where one is missing.
        whole = col("_bar") >= older + newer - 1
        return pl.when(whole).then(worst).alias(f"_worst_{older + newer}")

    frame = frame.with_columns(
        pl.int_range(pl.len()).over("fund").alias("_bar"), pl.lit(1.0).alias("_worst_1")
    )
    for older, newer in [(n, n) for n in (1, 2, 4, 8, 16, 32)] + [
        *((8, 4), (16, 12), (32, 28)),
        *((16, 8), (32, 24), (64, 56)),
    ]:
        frame = frame.with_columns(joined(older, newer))
    return frame.with_columns(
        (col(f"_worst_{n}") - 1).alias(f"max_drawdown_{n}") for n in [60, 120]
    )


def table(b, pools):
    """Return the bars as a frame, funds one after the other."""
    numbers = np.repeat(np.arange(len(b.symbols), dtype=np.uint32), np.diff(b.starts))
    names = [pools.get(symbol, "MARKET") for symbol in b.symbols]
    codes = np.unique(names, return_inverse=True)[1].astype(np.uint8)
    return pl.DataFrame(
        {
            "symbol": pl.Series(b.symbols).gather(numbers),
            "trade_date": b.date,
            "fund": numbers,
            "pool": codes[numbers],
            **{name: getattr(b, name) for name in bars.SERIES[1:]},
        }
    )


def batches(starts):
    """Yield slices of rows: whole funds, a row group or a little more."""
    first = 0
    for end in starts[1:]:
        if end - first >= ROW_GROUP or end == starts[-1]:
            yield first, end - first
            first = end


def write_panel(b, pools, path):
    """Compute and write; row groups of many funds, uncompressed and without dictionaries."""
    frame = table(b, pools).with_columns(
        (c / lag(c, n) - 1).alias(f"ret_{n}") for n in POOL_RETURNS
    )
    frame = frame.with_columns(market(f"ret_{n}").alias(f"_market_ret_{n}") for n in POOL_RETURNS)
    given = {"fund", "pool", *bars.SERIES[1:]}
    writer = None
    for first, count in batches(b.starts):
        batch = with_max_drawdowns(frame.slice(first, count).lazy())
        for layer in (bars_layer, windows_layer, factors_layer, last_layer):
            batch = batch.with_columns(**layer())
        names = [x for x in batch.collect_schema() if not x.startswith("_") and x not in given]
        group = batch.select(names).collect().to_arrow()
        if writer is None:
            writer = bars.panel_writer(path, group.schema)
        writer.write_table(group, row_group_size=count)
    writer.close()
    return names[2:]


def main():
    given = bars.panel_arguments(__doc__).parse_args()
    watch = bars.Stopwatch()
    b = bars.read(given.raw_root, given.seeds)
    watch.lap("read")
    names = write_panel(b, bars.pools(given.seeds), given.parquet)
    watch.lap("panel")
    watch.report(
        ["polars", "polars-talib", "numpy", "pyarrow"], bars=len(b.date), columns=len(names)
    )


if __name__ == "__main__":
    main()
