"""The report's section on the live account: tracking curves and the last session."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from etf_rotation.reconcile.texts import words
from etf_rotation.reconcile.tracking import PARTS
from etf_rotation.report import plots

SHOWN = 20  # sessions in the table


def section(
    rows: Callable[..., list[dict[str, Any]]],
    columns: plots.Columns,
    draw: Callable[[str, dict[str, Any]], str],
    language: str,
) -> dict[str, Any] | None:
    """Return the content of the section, None if no session was reconciled.

    Parameters
    ----------
    rows : callable
        `rows(table, query)` returns the rows of a query as dicts.
    columns : Columns
        Collects the arrays of the plots.
    draw : callable
        `draw(name, figure)` stores a figure and returns its name.
    language : str
        `en` or `zh`.
    """
    tracking = rows("live.tracking", "from live.tracking order by trade_date")
    if not tracking:
        return None
    said = words(language, "report")
    filled = [row for row in tracking if row["difference"] is not None]
    figures = {}
    if filled:
        dates = [str(row["trade_date"]) for row in filled]
        figures["curves"] = draw("live-curves", _curves(columns, dates, filled, said))
        figures["parts"] = draw("live-parts", _parts(columns, dates, filled, said))
    last = tracking[-1]["trade_date"]
    of_last = f"where trade_date = '{last}'"
    return {
        "words": said | {f"status_{k}": v for k, v in words(language, "status").items()},
        "figures": figures,
        "last": last,
        "days": tracking[: -SHOWN - 1 : -1],
        "orders": rows("live.orders_filled", f"from live.orders_filled {of_last} order by rowid"),
        "cash": rows("live.cash", f"from live.cash {of_last} order by rowid"),
        "differences": rows(
            "live.positions",
            f"from live.positions {of_last} and coalesce(difference, 0) <> 0 order by symbol",
        ),
    }


def _curves(
    columns: plots.Columns, dates: list[str], rows: list[dict[str, Any]], said: dict[str, str]
) -> dict[str, Any]:
    """Return the growth of 1 CNY in the account and in the model."""
    curves: dict[str, Sequence[float]] = {}
    for name, key in ((said["live"], "live_return"), (said["model"], "model_return")):
        level, values = 1.0, list[float]()
        for row in rows:
            level *= 1 + row[key]
            values.append(level)
        curves[name] = values
    return plots.growth(columns, dates, curves)


def _parts(
    columns: plots.Columns, dates: list[str], rows: list[dict[str, Any]], said: dict[str, str]
) -> dict[str, Any]:
    """Return the cumulative difference and its cumulative parts."""
    data = [
        plots.line(
            columns,
            dates,
            [row["difference_cumulated"] for row in rows],
            said["difference"],
            "$ink",
            width=2.5,
            hovertemplate="%{y:.3%}",
        )
    ]
    data += [
        plots.line(
            columns,
            dates,
            [row[f"{part}_cumulated"] for row in rows],
            said[part],
            f"$series{number}",
            hovertemplate="%{y:.3%}",
        )
        for number, part in enumerate(PARTS)
    ]
    return plots.figure(data, xaxis=plots.DATES, yaxis={"tickformat": ".2%", "zeroline": True})
