"""The plots of returns: rolling figures, distribution, and the parts of the excess."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from etf_rotation.report.plots import DATES, PERCENT, Columns, figure, line, rounded, stacked


def rolling(
    columns: Columns, dates: Sequence, values: Mapping[str, Sequence], words: Mapping
) -> dict:
    """Return Sharpe ratio, volatility and beta over the same dates, stacked vertically.

    `values` holds `sharpe`, `volatility` and `beta` of the strategy, and the first two
    of the benchmark.
    """

    def curve(name: str, key: str, color: str, axis: str, **more: Any) -> dict:
        return line(columns, dates, values[name], words[key], color, 4, yaxis=axis, **more)

    own, other = words["strategy"], words["benchmark"]
    hidden = {"showlegend": False}
    data = [
        curve("benchmark_sharpe", "rolling_sharpe", "$benchmark", "y", width=1) | {"name": other},
        curve("sharpe", "rolling_sharpe", "$strategy", "y") | {"name": own},
        curve("benchmark_volatility", "rolling_volatility", "$benchmark", "y2", width=1, **hidden),
        curve("volatility", "rolling_volatility", "$strategy", "y2", **hidden),
        curve("beta", "beta", "$strategy", "y3", **hidden),
    ]

    def axis(low: float, high: float, key: str, **more: Any) -> dict:
        return {"domain": [low, high], "title": {"text": words[key]}, **more}

    return figure(
        data,
        xaxis={**DATES, "anchor": "y3"},
        yaxis=axis(0.7, 1, "rolling_sharpe", hoverformat=".2f", zeroline=True),
        yaxis2=axis(0.36, 0.64, "rolling_volatility", **PERCENT, rangemode="tozero"),
        yaxis3=axis(0, 0.3, "beta", hoverformat=".2f", zeroline=True),
    )


def distribution(rows: Sequence[dict], names: Sequence[str]) -> dict:
    """Return a histogram of returns, strategy beside benchmark.

    `rows` are rows of `return_distribution` with one frequency.
    """
    middles = [rounded((row["lower_return"] + row["upper_return"]) / 2, 4) for row in rows]
    data = [
        {
            "type": "bar",
            "name": name,
            "x": middles,
            "y": [row[column] for row in rows],
            "marker": {"color": color},
            "hovertemplate": "%{y}",
        }
        for name, column, color in (
            (names[0], "periods", "$strategy"),
            (names[1], "benchmark_periods", "$benchmark"),
        )
    ]
    axis = {"tickformat": ".1%", "hoverformat": ".2%", "zeroline": True}
    return figure(data, barmode="group", bargap=0.1, xaxis=axis, yaxis={"rangemode": "tozero"})


def excess(rows: Sequence[dict], parts: Mapping[str, str], total: str) -> dict:
    """Return the parts of each month's excess over the benchmark as stacked bars.

    `rows` are rows of `excess_by_month`; `parts` names its columns.
    """
    months = [f"{row['month']:%Y-%m-%d}" for row in rows]
    data = stacked(months, rows, parts, ("excess_return", total), digits=3, size=4)
    return figure(data, barmode="relative", xaxis=DATES, yaxis=PERCENT)
