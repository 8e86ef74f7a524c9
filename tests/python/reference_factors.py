"""Every factor of the catalog, computed independently of the models.

TA-Lib where the factor bears TA-Lib's name; everything else as a direct two-pass
window, in extended precision where the platform has it. A rolling sum that adds one bar
and drops another would be faster, but carries rounding residues from bar to bar.
"""

import numpy as np
import pandas as pd
import talib
from numpy.lib.stride_tricks import sliding_window_view

TRADING_DAYS = 252
CROSS_SECTION_MIN_FUNDS = 3
AMIHUD_SCALE_CNY = 1e8
ZERO_DEVIATION = 1e-12  # relative to the mean
ZERO_RETURN_DEVIATION = 1e-15

MACD_PARAMETERS = [(12, 26, 9), (16, 34, 7), (20, 42, 8), (5, 35, 5)]
RSI_WINDOWS = [6, 9, 12, 14, 20, 24, 30, 60]
ATR_WINDOWS = [7, 10, 14, 20, 30, 60]
BAND_WIDTHS = {"1p5": 1.5, "2p0": 2.0, "2p5": 2.5}
LEVEL_WINDOWS = [30, 40, 50, 60, 80, 100, 120, 150, 200, 252]


def reference_factors(bars: pd.DataFrame) -> pd.DataFrame:
    """Compute all factors of one fund.

    Parameters
    ----------
    bars : DataFrame
        One fund's bars in date order: adjusted `open, high, low, close`, adjusted
        `volume` (shares), `amount` (CNY), and the columns of `pool_columns` if there is
        a pool.

    Returns
    -------
    DataFrame
        One float column a factor, in catalog order, on the index of `bars`.

    Notes
    -----
    NaN is null. Without the pool's columns the cross-section family is NaN.
    """
    series = _Bars(bars)
    families = [_trend, _momentum, _volatility, _volume, _cross_section]
    columns = {name: x for family in families for name, x in family(series).items()}
    values = {name: np.asarray(x, dtype=np.float64) for name, x in columns.items()}
    return pd.DataFrame(values, index=bars.index)


def pool_columns(frames: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Add the pool's mean return of the day to each fund's bars.

    Parameters
    ----------
    frames : dict of DataFrame
        Bars by symbol, each indexed by trade_date.

    Returns
    -------
    dict of DataFrame
        The same frames with `market`, `pool_ret_20_mean` and `pool_ret_60_mean`.

    Notes
    -----
    NaN on days with fewer than three funds that have the return.
    """
    means = pd.DataFrame(
        {
            name: _cross_sectional_mean(frames, n)
            for name, n in [("market", 1), ("pool_ret_20_mean", 20), ("pool_ret_60_mean", 60)]
        }
    )
    return {
        symbol: frame.assign(**{name: means[name].reindex(frame.index) for name in means})
        for symbol, frame in frames.items()
    }


def _cross_sectional_mean(frames, n):
    returns = pd.DataFrame(
        {
            symbol: pd.Series(_return(_extended(frame["close"]), n), index=frame.index, dtype=float)
            for symbol, frame in frames.items()
        }
    ).sort_index()
    values = returns.to_numpy(np.longdouble)
    count = np.isfinite(values).sum(axis=1)
    total = np.where(count >= CROSS_SECTION_MIN_FUNDS, np.nansum(values, axis=1), np.nan)
    return pd.Series(_ratio(total, count).astype(np.float64), index=returns.index)


class _Bars:
    """One fund's series: doubles for TA-Lib (`double`), extended precision otherwise."""

    def __init__(self, bars):
        names = ["open", "high", "low", "close", "volume", "amount"]
        self.double = {name: bars[name].to_numpy(np.float64).copy() for name in names}
        self.o, self.h, self.l, self.c, self.v, self.a = (_extended(bars[n]) for n in names)
        self.previous_c = _lag(self.c)
        self.r = _return(self.c, 1)
        # fmax skips the missing previous close, which leaves high - low on the first
        # bar.
        self.tr_from_first_bar = np.fmax(
            self.h - self.l,
            np.fmax(np.abs(self.h - self.previous_c), np.abs(self.l - self.previous_c)),
        )
        self.tr = np.where(np.isnan(self.previous_c), np.nan, self.tr_from_first_bar)
        absent = pd.Series(np.nan, index=bars.index)
        self.market, self.pool_ret_20_mean, self.pool_ret_60_mean = (
            _extended(bars.get(name, absent))
            for name in ["market", "pool_ret_20_mean", "pool_ret_60_mean"]
        )

    def talib(self, function, *names, **parameters):
        return function(*(self.double[name] for name in names), **parameters)


# ---------- windows


def _extended(series):
    return series.to_numpy(np.float64).astype(np.longdouble)


def _lag(x, n=1):
    out = np.full(len(x), np.nan, dtype=np.longdouble)
    out[n:] = x[:-n]
    return out


def _ratio(numerator, denominator):
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(denominator == 0, np.nan, numerator / denominator)


def _return(x, n):
    return _ratio(x, _lag(x, n)) - 1


def _roll(statistic, n, *series):
    """Apply `statistic` to every full window of n bars; sums and extremes pass a NaN on."""
    out = np.full(len(series[0]), np.nan, dtype=np.longdouble)
    if len(out) >= n:
        out[n - 1 :] = statistic(*(sliding_window_view(x, n) for x in series))
    return out


def _sum(x, n):
    return _roll(lambda w: w.sum(axis=-1), n, x)


def _mean(x, n):
    return _sum(x, n) / n


def _max(x, n):
    return _roll(lambda w: w.max(axis=-1), n, x)


def _min(x, n):
    return _roll(lambda w: w.min(axis=-1), n, x)


def _centered(w):
    return w - w.mean(axis=-1, keepdims=True)


def _power_sum(x, n, power):
    return _roll(lambda w: (_centered(w) ** power).sum(axis=-1), n, x)


def _co_moment(x, y, n):
    return _roll(lambda wx, wy: (_centered(wx) * _centered(wy)).sum(axis=-1), n, x, y)


def _square_sum(x, n, is_return):
    """Sum of squared deviations, zero where the standard deviation counts as zero."""
    squares = _power_sum(x, n, 2)
    threshold = ZERO_RETURN_DEVIATION if is_return else ZERO_DEVIATION * np.abs(_mean(x, n))
    return np.where(np.sqrt(squares / (n - 1)) <= threshold, 0, squares)


def _sd(x, n, ddof=1, is_return=False):
    return np.sqrt(_square_sum(x, n, is_return) / (n - ddof))


def _slope(x, n):
    """Least-squares slope of x on 0 … n-1."""
    time = np.arange(n) - np.longdouble(n - 1) / 2
    return _roll(lambda w: (time * _centered(w)).sum(axis=-1), n, x) / (time**2).sum()


def _r_squared(x, n):
    time_squares = np.longdouble(n * (n * n - 1)) / 12
    return _ratio(_slope(x, n) ** 2 * time_squares, _square_sum(x, n, is_return=False))


def _correlation(x, y, n, x_is_return, y_is_return):
    squares = _square_sum(x, n, x_is_return) * _square_sum(y, n, y_is_return)
    return _ratio(_co_moment(x, y, n), np.sqrt(squares))


def _max_drawdown(x, n):
    return _roll(lambda w: (w / np.maximum.accumulate(w, axis=-1)).min(axis=-1) - 1, n, x)


def _range_position(b, n):
    lowest = _min(b.l, n)
    return _ratio(b.c - lowest, _max(b.h, n) - lowest)


# ---------- families


def _trend(b):
    log_c = np.log(b.c)
    hlc = ["high", "low", "close"]
    f = {f"sma_{n}": _mean(b.c, n) for n in [5, 10, 15, 20, 25, *LEVEL_WINDOWS]}
    for n in [5, 10, 12, 20, 26, *LEVEL_WINDOWS]:
        f[f"ema_{n}"] = b.talib(talib.EMA, "close", timeperiod=n)
    for n in [5, 10, 20, 60, 120, 252]:
        f[f"bias_{n}"] = b.c / _mean(b.c, n) - 1
    f |= {f"slope_{n}": _slope(log_c, n) for n in [20, 60, 120]}
    f |= {f"r2_{n}": _r_squared(log_c, n) for n in [20, 60, 120]}
    for n in [20, 25, 60]:
        annual_growth = np.exp(TRADING_DAYS * _slope(log_c, n)) - 1
        f[f"momentum_score_{n}"] = annual_growth * _r_squared(log_c, n)
    f["adx_14"] = b.talib(talib.ADX, *hlc, timeperiod=14)
    f["plus_di_14"] = b.talib(talib.PLUS_DI, *hlc, timeperiod=14)
    f["minus_di_14"] = b.talib(talib.MINUS_DI, *hlc, timeperiod=14)
    true_range = _sum(b.tr, 14)
    f["vortex_plus_14"] = _ratio(_sum(np.abs(b.h - _lag(b.l)), 14), true_range)
    f["vortex_minus_14"] = _ratio(_sum(np.abs(b.l - _lag(b.h)), 14), true_range)
    aroon_down, aroon_up = b.talib(talib.AROON, "high", "low", timeperiod=25)
    f |= {"aroon_up_25": aroon_up, "aroon_down_25": aroon_down}
    f |= {f"breakout_{n}": b.c / _lag(_max(b.h, n)) - 1 for n in [20, 60]}
    path = np.abs(b.c - b.previous_c)
    for n in [10, 20, 60]:
        f[f"efficiency_ratio_{n}"] = _ratio(np.abs(b.c - _lag(b.c, n)), _sum(path, n))
    f["kama_10"] = b.talib(talib.KAMA, "close", timeperiod=10)
    f["trix_15"] = b.talib(talib.TRIX, "close", timeperiod=15)
    beta = _ratio(_co_moment(b.l, b.h, 18), _square_sum(b.l, 18, is_return=False))
    f["rsrs_beta_18"] = beta
    f["rsrs_zscore_18_250"] = _ratio(beta - _mean(beta, 250), _sd(beta, 250))
    return f


def _momentum(b):
    f = {}
    for fast, slow, signal in MACD_PARAMETERS:
        macd = b.talib(talib.MACD, "close", fastperiod=fast, slowperiod=slow, signalperiod=signal)
        for name, x in zip(["macd", "macd_signal", "macd_hist"], macd, strict=True):
            f[f"{name}_{fast}_{slow}_{signal}"] = x
    for fast, slow, signal in MACD_PARAMETERS:
        parameters = f"{fast}_{slow}_{signal}"
        difference = _mean(b.c, fast) - _mean(b.c, slow)
        average = _mean(difference, signal)
        f[f"macd_sma_{parameters}"] = difference
        f[f"macd_sma_signal_{parameters}"] = average
        f[f"macd_sma_hist_{parameters}"] = difference - average
    f |= {f"rsi_{n}": b.talib(talib.RSI, "close", timeperiod=n) for n in RSI_WINDOWS}
    change = b.c - b.previous_c
    gain, loss = np.maximum(change, 0), np.maximum(-change, 0)
    for n in RSI_WINDOWS:
        f[f"rsi_sma_{n}"] = 100 * _ratio(_mean(gain, n), _mean(gain, n) + _mean(loss, n))
    f |= {f"stoch_k_{n}": 100 * _range_position(b, n) for n in [5, 9, 14, 20]}
    for n in [5, 9, 14, 20]:
        f |= {f"stoch_d_{n}_{m}": _mean(f[f"stoch_k_{n}"], m) for m in [3, 5]}
    for n in [1, 2, 3, 5, 10, 20, 30, 60, 63, 120, 126, 252]:
        f[f"ret_{n}"] = _return(b.c, n)
    f |= {f"price_position_{n}": _range_position(b, n) for n in [10, 30, 60, 120]}
    f |= {f"drawdown_{n}": b.c / _max(b.c, n) - 1 for n in [20, 63, 126, 252]}
    for n in [20, 60, 120]:
        daily = _ratio(_mean(b.r, n), _sd(b.r, n, is_return=True))
        f[f"sharpe_{n}"] = np.sqrt(np.longdouble(TRADING_DAYS)) * daily
    f["calmar_60"] = _ratio(f["ret_60"], np.abs(_max_drawdown(b.c, 60)))
    f["momentum_acceleration_20_60"] = f["ret_20"] - f["ret_60"] / 3
    f["overnight_ret_20"] = _sum(b.o / b.previous_c - 1, 20)
    f["intraday_ret_20"] = _sum(b.c / b.o - 1, 20)
    for n in [14, 20]:
        f[f"cci_{n}"] = b.talib(talib.CCI, "high", "low", "close", timeperiod=n)
    return f


def _volatility(b):
    hlc = ["high", "low", "close"]
    f = {}
    for n in [10, 15, 20, 25, 30, 40, 50]:
        average, deviation = _mean(b.c, n), _sd(b.c, n, ddof=0)
        for k, width in BAND_WIDTHS.items():
            lower, upper = average - width * deviation, average + width * deviation
            f[f"bb_upper_{n}_{k}"] = upper
            f[f"bb_lower_{n}_{k}"] = lower
            f[f"bb_width_{n}_{k}"] = (upper - lower) / average
            f[f"bb_percent_b_{n}_{k}"] = _ratio(b.c - lower, upper - lower)
    f |= {f"atr_{n}": b.talib(talib.ATR, *hlc, timeperiod=n) for n in ATR_WINDOWS}
    f |= {f"atr_sma_{n}": _mean(b.tr_from_first_bar, n) for n in ATR_WINDOWS}
    f["natr_14"] = b.talib(talib.NATR, *hlc, timeperiod=14)
    f |= {f"volatility_{n}": _sd(b.r, n, is_return=True) for n in [5, 10, 20, 30, 60, 120]}
    loss = np.minimum(b.r, 0)
    f |= {f"downside_volatility_{n}": np.sqrt(_mean(loss**2, n)) for n in [20, 60]}
    f["volatility_ratio_20_60"] = _ratio(f["volatility_20"], f["volatility_60"])
    log_range, log_body = np.log(b.h / b.l), np.log(b.c / b.o)
    log_2 = np.log(np.longdouble(2))
    f["parkinson_volatility_20"] = np.sqrt(_mean(log_range**2, 20) / (4 * log_2))
    # Never negative: the range holds the body, and 2 ln 2 - 1 < 1/2.
    garman_klass = log_range**2 / 2 - (2 * log_2 - 1) * log_body**2
    f["garman_klass_volatility_20"] = np.sqrt(_mean(garman_klass, 20))
    f |= {f"skewness_{n}": _skewness(b.r, n) for n in [20, 60]}
    f["kurtosis_60"] = _kurtosis(b.r, 60)
    f |= {f"max_drawdown_{n}": _max_drawdown(b.c, n) for n in [60, 120]}
    return f


def _skewness(r, n):
    biased = _ratio(_power_sum(r, n, 3) / n, (_square_sum(r, n, is_return=True) / n) ** 1.5)
    return np.sqrt(np.longdouble(n * (n - 1))) / (n - 2) * biased


def _kurtosis(r, n):
    biased = _ratio(_power_sum(r, n, 4) / n, (_square_sum(r, n, is_return=True) / n) ** 2)
    return (n - 1) * ((n + 1) * biased - 3 * (n - 1)) / ((n - 2) * (n - 3))


def _volume(b):
    f = {"obv": b.talib(talib.OBV, "close", "volume")}
    f["mfi_14"] = b.talib(talib.MFI, "high", "low", "close", "volume", timeperiod=14)
    f |= {f"volume_ratio_{n}": _ratio(b.v, _mean(b.v, n)) for n in [5, 10, 20, 30]}
    f["obv_slope_10"] = _ratio(_slope(f["obv"].astype(np.longdouble), 10), _mean(b.v, 20))
    undefined = np.isnan(b.r)
    up_volume = np.where(undefined, np.nan, np.where(b.r > 0, b.v, 0))
    down_volume = np.where(undefined, np.nan, np.where(b.r < 0, b.v, 0))
    f["up_down_volume_ratio_20"] = _ratio(_sum(up_volume, 20), _sum(down_volume, 20))
    multiplier = _ratio((b.c - b.l) - (b.h - b.c), b.h - b.l)
    money_flow = np.where(b.h == b.l, 0, multiplier * b.v)
    f["cmf_20"] = _ratio(_sum(money_flow, 20), _sum(b.v, 20))
    f["price_volume_corr_20"] = _correlation(b.c, b.v, 20, x_is_return=False, y_is_return=False)
    f["return_volume_corr_20"] = _correlation(
        b.r, _return(b.v, 1), 20, x_is_return=True, y_is_return=True
    )
    f["amihud_20"] = _mean(_ratio(np.abs(b.r), b.a), 20) * AMIHUD_SCALE_CNY
    f["volume_zscore_20"] = _ratio(b.v - _mean(b.v, 20), _sd(b.v, 20))
    f["amount_ratio_5_20"] = _ratio(_mean(b.a, 5), _mean(b.a, 20))
    f["vwap_bias_20"] = _ratio(b.c, _ratio(_sum(b.a, 20), _sum(b.v, 20))) - 1
    return f


def _cross_section(b):
    n = 60
    r, m = b.r, b.market
    beta = _ratio(_co_moment(r, m, n), _square_sum(m, n, is_return=True))

    def residual_square_sum(window_r, window_m):
        residual = _centered(window_r) - beta[n - 1 :, None] * _centered(window_m)
        return (residual**2).sum(axis=-1)

    residual_sd = np.sqrt(_roll(residual_square_sum, n, r, m) / (n - 1))
    return {
        f"market_beta_{n}": beta,
        f"market_corr_{n}": _correlation(r, m, n, x_is_return=True, y_is_return=True),
        f"residual_volatility_{n}": np.where(residual_sd <= ZERO_RETURN_DEVIATION, 0, residual_sd),
        "relative_strength_20": _return(b.c, 20) - b.pool_ret_20_mean,
        "relative_strength_60": _return(b.c, 60) - b.pool_ret_60_mean,
    }
