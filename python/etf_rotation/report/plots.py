"""The plots of the report as plotly figures: plain dicts, ready for JSON.

A value "@n" stands for array n of `Columns`, "$name" for a color of the page's theme.
The page's script replaces both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

# At a higher ratio of maximum to minimum, a linear axis hides the early years.
LOG_FROM = 3.0
COLORS = 10
DATES = {
    "type": "date",
    "hoverformat": "%Y-%m-%d",
    "tickformatstops": [
        {"dtickrange": [None, "M1"], "value": "%Y-%m-%d"},
        {"dtickrange": ["M1", "M6"], "value": "%Y-%m"},
        {"dtickrange": ["M12", None], "value": "%Y"},
    ],
}
PERCENT = {"tickformat": ".0%", "hoverformat": ".2%"}


class Columns:
    """Arrays shared by plots; each is embedded once."""

    def __init__(self):
        self.arrays: list[list] = []
        self._known: dict[tuple, str] = {}

    def put(self, values: Iterable, digits: int | None = None) -> str:
        """Store an array and return its reference.

        `digits` is the number of significant digits to round to; None keeps all.
        """
        values = tuple(values) if digits is None else tuple(rounded(v, digits) for v in values)
        if values not in self._known:
            self._known[values] = f"@{len(self.arrays)}"
            self.arrays.append(list(values))
        return self._known[values]


def rounded(value: float | None, digits: int) -> float | None:
    """Round a value to so many significant digits; null if it is not finite."""
    if not value:
        return None if value is None else 0
    if not math.isfinite(value):
        return None
    short = float(f"{value:.{digits}g}")
    return int(short) if short.is_integer() else short


def figure(data: list[dict], **layout: Any) -> dict:
    """Return a figure."""
    return {"data": data, "layout": layout}


def line(
    columns: Columns,
    dates: Sequence,
    values: Sequence,
    name: str,
    color: str,
    digits: int = 5,
    **more: Any,
) -> dict:
    """Return one line over dates; `more` are further plotly attributes."""
    style = {"color": color, "width": more.pop("width", 1.6), **more.pop("style", {})}
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": columns.put(dates),
        "y": columns.put(values, digits),
        "line": style,
        **more,
    }


def growth(columns: Columns, dates: Sequence, curves: Mapping[str, Sequence[float]]) -> dict:
    """Return curves that start at 1, on a logarithmic axis if their range is wide.

    Parameters
    ----------
    columns : Columns
        Receives the arrays.
    dates : sequence of str
        ISO dates.
    curves : dict
        Name to growth of 1 CNY, one value per date; the first is the strategy.
    """
    colors = ("$strategy", "$benchmark")
    data = [
        line(columns, dates, values, name, color)
        for (name, values), color in zip(curves.items(), colors, strict=True)
    ]
    return figure(data, xaxis=DATES, yaxis=_growth_axis(list(curves.values())))


def _growth_axis(curves: Sequence[Sequence[float]]) -> dict:
    axis: dict[str, Any] = {"type": "log" if is_log(curves) else "linear", "hoverformat": ".3f"}
    if axis["type"] == "log":
        low, high = min(map(min, curves)), max(map(max, curves))
        axis["tickvals"] = [
            step * 10.0**power
            for power in range(-3, 6)
            for step in (1, 1.5, 2, 3, 5, 7)
            if low / 1.1 <= step * 10.0**power <= high * 1.1
        ]
        axis["ticktext"] = [f"{tick:g}" for tick in axis["tickvals"]]
    return axis


def is_log(curves: Iterable[Sequence[float]]) -> bool:
    """Return whether the values, all above zero, need a logarithmic axis."""
    values = [value for curve in curves for value in curve]
    return min(values) > 0 and max(values) / min(values) > LOG_FROM


def drawdown(columns: Columns, dates: Sequence, curves: Mapping[str, Sequence[float]]) -> dict:
    """Return the strategy's drawdown as an area, the benchmark's as a line.

    Arguments are as in `growth`; the values are plain ratios from -1 to 0.
    """
    (own, values), (other, others) = curves.items()
    data = [
        line(columns, dates, values, own, "$strategy", fill="tozeroy", width=1),
        line(columns, dates, others, other, "$benchmark", width=1),
    ]
    return figure(data, xaxis=DATES, yaxis={**PERCENT, "rangemode": "tozero"})


def strategies(
    columns: Columns, curves: Mapping[str, tuple[Sequence, Sequence]], *, live: str, rival: str
) -> dict:
    """Return the growth of every strategy of a pool from one common session.

    Parameters
    ----------
    columns : Columns
        Receives the arrays.
    curves : dict
        Name to dates and growth of 1 CNY.
    live, rival : str
        The traded strategy, in the strategy's color, and its rival, in the benchmark's.
    """
    colors = {live: "$strategy", rival: "$benchmark"}
    others = [name for name in curves if name not in colors]
    # From 2: the first two colors belong to strategy and benchmark.
    colors |= {name: f"$series{2 + n % (COLORS - 2)}" for n, name in enumerate(others)}
    data = [
        line(columns, dates, values, name, colors[name], 4, width=2.4 if name == live else 1.4)
        for name, (dates, values) in curves.items()
    ]
    return figure(data, xaxis=DATES, yaxis=_growth_axis([curve[1] for curve in curves.values()]))


def extremes(months: Sequence[dict], parts: dict[str, str], total: str) -> dict:
    """Return one stacked bar per month, with its return as a marker.

    Parameters
    ----------
    months : sequence of dict
        `label`, `monthly_return` and the parts, plain ratios.
    parts : dict
        Part to name.
    total : str
        Name of the month's return.
    """
    labels = [month["label"] for month in months]
    data = stacked(labels, months, parts, ("monthly_return", total), digits=5, size=9)
    return figure(data, barmode="relative", xaxis={"type": "category"}, yaxis=PERCENT)


def stacked(
    x: Sequence[str],
    rows: Sequence[dict],
    parts: Mapping[str, str],
    total: tuple[str, str],
    *,
    digits: int,
    size: int,
) -> list[dict]:
    """Return one stacked bar per part, and a marker at `total` (column, name)."""
    data: list[dict] = [
        {
            "type": "bar",
            "name": name,
            "x": x,
            "y": [rounded(row[part], digits) for row in rows],
            "marker": {"color": f"$part{number}"},
            "hovertemplate": "%{y:.2%}",
        }
        for number, (part, name) in enumerate(parts.items())
    ]
    column, name = total
    data.append(
        {
            "type": "scatter",
            "mode": "markers",
            "name": name,
            "x": x,
            "y": [rounded(row[column], digits) for row in rows],
            "marker": {"color": "$ink", "symbol": "diamond", "size": size},
            "hovertemplate": "%{y:.2%}",
        }
    )
    return data


def stacked_weights(
    columns: Columns, dates: Sequence, weights: Mapping[str, Sequence], names: Sequence[str]
) -> dict:
    """Return stacked weights of the funds, with the rest as cash.

    `names` are the labels of funds without their own color, and of cash.
    """
    others, cash = names
    largest = sorted(weights, key=lambda name: (-sum(weights[name]), name))[: COLORS - 1]
    data = [
        _area(columns, dates, weights[name], name, f"$series{number}")
        for number, name in enumerate(largest)
    ]
    # There are too few colors: smaller funds share one; the hover text distinguishes
    # them.
    rest = [name for name in weights if name not in largest]
    for name in rest:
        area = _area(columns, dates, weights[name], name, f"$series{COLORS - 1}")
        shared = {"name": others, "legendgroup": others, "showlegend": name == rest[0]}
        data.append({**area, **shared})
    uninvested = [max(0.0, 1 - sum(day)) for day in zip(*weights.values(), strict=True)]
    data.append(_area(columns, dates, uninvested, cash, "$cash"))
    return figure(
        data,
        xaxis=DATES,
        yaxis={**PERCENT, "range": [0, 1]},
        hovermode="closest",
        legend={"traceorder": "normal"},
    )


def _area(
    columns: Columns, dates: Sequence, values: Sequence, name: str, color: str, **more: Any
) -> dict:
    return line(
        columns,
        dates,
        values,
        name,
        color,
        digits=3,
        stackgroup="weights",
        fillcolor=color,
        width=0,
        style={"shape": "hv"},
        hovertemplate=f"{name} %{{x}} %{{y:.1%}}<extra></extra>",
        **more,
    )


def trading(
    years: Sequence[str], turnover: Sequence, costs: Sequence, names: Sequence[str]
) -> dict:
    """Return turnover above, costs below, one bar per year."""
    data = [
        {
            "type": "bar",
            "name": name,
            "x": list(years),
            "y": [rounded(value, 4) for value in values],
            "marker": {"color": color},
            "yaxis": axis,
            "hovertemplate": template,
        }
        for name, values, color, axis, template in (
            (names[0], turnover, "$strategy", "y", "%{y:.2f}"),
            (names[1], costs, "$cost", "y2", "%{y:.2%}"),
        )
    ]
    return figure(
        data,
        xaxis={"type": "category", "anchor": "y2"},
        yaxis={"domain": [0.48, 1], "rangemode": "tozero"},
        yaxis2={"domain": [0, 0.4], "rangemode": "tozero", "tickformat": ".1%"},
    )


def capacity(
    curves: Mapping[str, Sequence[dict]], words: dict, money: Callable[[float], str]
) -> dict:
    """Return net annual return by capital, one line per pool, dashed without impact.

    `money` formats an amount of capital for the axis.
    """
    data: list[dict] = []
    for number, (pool, points) in enumerate(curves.items()):
        color = f"$series{number % COLORS}"
        capital = [point["capital_cny"] for point in points]
        data.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": pool,
                "x": capital,
                "y": [rounded(point["net_annual_return"], 5) for point in points],
                "customdata": [rounded(point["max_order_share"], 4) for point in points],
                "line": {"color": color},
                "hovertemplate": f"{pool}: %{{y:.2%}}, {words['max_order_share']} "
                "%{customdata:.0%}<extra></extra>",
            }
        )
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": f"{pool}, {words['no_impact']}",
                "showlegend": False,
                "x": capital,
                "y": [rounded(point["annual_return"], 5) for point in points],
                "line": {"color": color, "dash": "dash", "width": 1},
                "hoverinfo": "skip",
            }
        )
    ticks = sorted({point["capital_cny"] for points in curves.values() for point in points})
    return figure(
        data,
        xaxis={
            "type": "log",
            "title": {"text": words["capital"]},
            "tickvals": ticks,
            "ticktext": [money(tick) for tick in ticks],
            "hoverformat": ",.0f",
        },
        yaxis={**PERCENT, "title": {"text": words["net_annual_return"]}, "zeroline": True},
    )


def rolling_ic(columns: Columns, series: Mapping[str, tuple[Sequence, Sequence]]) -> dict:
    """Return the rank IC of each factor over dates, the score last and bold."""
    data = []
    for number, (factor_id, (dates, values)) in enumerate(series.items()):
        is_score = factor_id == "score"
        color = "$ink" if is_score else f"$series{number % COLORS}"
        data.append(
            line(
                columns,
                dates,
                values,
                factor_id,
                color,
                digits=3,
                width=2.5 if is_score else 1,
                opacity=1 if is_score else 0.75,
                hovertemplate="%{y:.3f}",
                **({"style": {"dash": "dot"}} if number >= COLORS and not is_score else {}),
            )
        )
    return figure(data, xaxis=DATES, yaxis={"zeroline": True, "tickformat": ".2f"})


def quantile_returns(quantiles: Mapping[str, Sequence[dict]]) -> dict:
    """Return a group of bars per factor, one per quantile with its standard error."""
    shades = len(quantiles)
    data = [
        {
            "type": "bar",
            "name": name,
            "x": [row["factor_id"] for row in rows],
            "y": [rounded(row["mean_excess_return"], 4) for row in rows],
            "error_y": {
                "type": "data",
                "array": [rounded(row["standard_error"], 3) for row in rows],
                "thickness": 1,
                "width": 0,
                "color": "$ink",
            },
            "marker": {"color": f"$shade{round(number * 4 / max(1, shades - 1))}"},
            "hovertemplate": "%{y:.2%}",
        }
        for number, (name, rows) in enumerate(quantiles.items())
    ]
    axis = {"tickformat": ".1%", "zeroline": True}
    return figure(data, barmode="group", xaxis={"type": "category", "tickangle": -45}, yaxis=axis)
