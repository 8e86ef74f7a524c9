"""A sweep as a table: a row a variant, judged as the one of many that it is."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from etf_rotation.console import render_table
from etf_rotation.errors import InputError
from etf_rotation.production.export import csv_cell
from etf_rotation.research.deflated_sharpe import (
    effective_trials,
    expected_max_sharpe,
    mean_correlation,
    probabilistic_sharpe,
    shape,
)
from etf_rotation.research.sweep import Build, Result, Variant

BEST = 10
CONFIDENCE = 0.95
WRITERS = {".parquet": pa.parquet.write_table, ".csv": pa.csv.write_csv}
SHOWN = (
    "variant",
    "is_build",
    "factors",
    "top_n",
    "rebalance",
    "slippage_bps",
    "first_date",
    "annual_return",
    "max_drawdown",
    "annual_turnover",
    "sharpe",
    "deflated_sharpe",
    "deflated_sharpe_effective",
)


class Trials(NamedTuple):
    """What was tried: how often, on how much history, and what luck alone would make of it."""

    count: int  # with a Sharpe ratio
    common_sessions: int
    correlation: float | None  # mean of all pairs; None where there is no second trial
    effective: float
    expected_max: float  # annual, of all trials
    expected_max_effective: float  # annual, of the effective ones


def judge(
    build: Build, variants: Sequence[Variant], results: Sequence[Result]
) -> tuple[Trials, list[dict]]:
    """Return the trials, and a row for each variant in order.

    Notes
    -----
    `deflated_sharpe` takes every variant for a trial of its own, which is the strict reading;
    `deflated_sharpe_effective` takes the number of independent trials that they are worth by the
    mean correlation of their daily returns, on the sessions that all of them have. The variance of
    the Sharpe ratios is that of all variants (ddof 1) in both.
    """
    per_year = int(build.variables["sessions_per_year"])
    sharpes = [
        result.metrics["sharpe"] / math.sqrt(per_year)
        for result in results
        if result.metrics and result.metrics["sharpe"] is not None
    ]
    tried = [r for r in results if r.metrics and r.metrics["sharpe"] is not None]
    trials = _trials(sharpes, [result.returns for result in tried], per_year)

    rows = []
    names = next((list(result.metrics) for result in results if result.metrics), [])
    for n, (variant, result) in enumerate(zip(variants, results, strict=True), start=1):
        metrics = result.metrics or dict.fromkeys(names) | {"sessions": 0}
        skewness, kurtosis = shape(result.returns) or (None, None)
        row = {
            "pool": build.pool,
            "variant": n,
            "is_build": variant == build.variant,
            **variant._asdict(),
            "factors": "+".join(variant.factors),
            **metrics,
            "trades": result.trades,
            "skewness": skewness,
            "kurtosis": kurtosis,
            "trials": trials.count,
            "effective_trials": trials.effective,
            "expected_max_sharpe": trials.expected_max,
            "expected_max_sharpe_effective": trials.expected_max_effective,
        }
        row |= _deflated(row, trials, per_year)
        rows.append(row | {"is_synthetic": build.is_synthetic})
    return trials, rows


def _trials(sharpes: Sequence[float], returns: Sequence[np.ndarray], per_year: int) -> Trials:
    count = len(sharpes)
    variance = float(np.var(sharpes, ddof=1)) if count > 1 else 0.0
    common = min(map(len, returns), default=0)
    correlation, effective = None, float(count)
    # All variants end on the same session: the last ones are those that they share.
    if count > 1 and common > 1:
        shared = np.column_stack([own[-common:] for own in returns])
        shared = shared[:, np.ptp(shared, axis=0) > 0]
        if shared.shape[1] > 1:
            correlation = mean_correlation(shared)
            effective = effective_trials(count, correlation)
    annual = math.sqrt(per_year)
    return Trials(
        count,
        common,
        correlation,
        effective,
        annual * expected_max_sharpe(variance, count),
        annual * expected_max_sharpe(variance, effective),
    )


def _deflated(row: Mapping, trials: Trials, per_year: int) -> dict[str, float | None]:
    thresholds = {
        "deflated_sharpe": trials.expected_max,
        "deflated_sharpe_effective": trials.expected_max_effective,
    }
    if row.get("sharpe") is None or row["skewness"] is None:
        return dict.fromkeys(thresholds)
    annual = math.sqrt(per_year)
    return {
        name: probabilistic_sharpe(
            row["sharpe"] / annual,
            threshold / annual,
            sessions=row["sessions"],
            skewness=row["skewness"],
            kurtosis=row["kurtosis"],
        )
        for name, threshold in thresholds.items()
    }


def check_output(path: Path) -> None:
    """Refuse a file that cannot be written, before any work is done.

    Raises
    ------
    InputError
        Another kind than parquet and CSV, or no such folder.
    """
    if path.suffix not in WRITERS:
        raise InputError(f"--output {path}: the name must end in {' or '.join(WRITERS)}")
    if not path.parent.is_dir():
        raise InputError(f"--output {path}: there is no folder {path.parent}")


def write(rows: Sequence[dict], path: Path) -> None:
    """Write the rows whole or not at all; what was there before is replaced."""
    if path.suffix == ".csv":
        rows = [{name: csv_cell(value) for name, value in row.items()} for row in rows]
    table = pa.Table.from_pylist(list(rows))
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        WRITERS[path.suffix](table, temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def closing(build: Build, trials: Trials, rows: Sequence[dict]) -> str:
    """Return the best variants, what luck would have made of as many, and what to make of it."""
    ranked = sorted(
        (row for row in rows if row.get("sharpe") is not None),
        key=lambda row: (-row["sharpe"], row["variant"]),
    )
    if not ranked:
        return (
            f"None of the {len(rows)} variants of {build.pool} ever traded: no session had as many "
            "eligible funds as top_n asks for."
        )
    own = [row for row in rows if row["is_build"]]
    shown = [row | {"factors": _short(row, build)} for row in [*ranked[:BEST], *own]]
    table = render_table(SHOWN, [[row[name] for name in SHOWN] for row in shown])
    lines = [
        f"The best {min(BEST, len(ranked))} of {len(rows):,} variants of {build.pool} by Sharpe "
        "ratio, and last the build's own",
        table,
        "",
        f"Trials: {trials.count:,}{_worth(trials)}.",
        f"Best Sharpe ratio to expect without any skill: {trials.expected_max:.2f} of all trials, "
        f"{trials.expected_max_effective:.2f} of the independent ones.",
        _verdict(ranked[0]),
        *_spans(ranked),
        "To choose the best variant is to fit to this sample: its past figures flatter it, and the "
        "deflated Sharpe ratio knows nothing of what was tried elsewhere, or of the hindsight in "
        "the choice of the funds.",
    ]
    if build.is_synthetic:
        lines.append("SYNTHETIC DATA, not market data")
    return "\n".join(lines)


def _short(row: Mapping, build: Build) -> str:
    """Return the names, or those that are left out where that is shorter."""
    factors = row["factors"].split("+")
    left_out = [factor for factor in build.scored if factor not in factors]
    if not left_out:
        return "all"
    if len(left_out) < len(factors):
        return "all but " + "+".join(left_out)
    return "+".join(factors)


def _worth(trials: Trials) -> str:
    if trials.correlation is None:
        return ""
    return (
        f", worth {trials.effective:,.1f} independent ones (mean correlation of daily returns "
        f"{trials.correlation:.2f} on the {trials.common_sessions:,} sessions that all have)"
    )


def _spans(rows: Sequence[Mapping]) -> list[str]:
    first, last = (pick(row["first_date"] for row in rows) for pick in (min, max))
    if first == last:
        return []
    return [
        f"They begin between {first} and {last}, each when as many funds as its top_n are "
        "eligible: Sharpe ratios of different years compare badly. A build with the var "
        "backtest_start gives them one start."
    ]


def _verdict(best: Mapping) -> str:
    strict, effective = best["deflated_sharpe"], best["deflated_sharpe_effective"]
    found = f"The best, variant {best['variant']} with a Sharpe ratio of {best['sharpe']:.2f}, has "
    if strict is None:
        return found + "too short a history for a deflated Sharpe ratio."
    found += f"a deflated Sharpe ratio of {strict:.2f} (of independent trials {effective:.2f})"
    if strict >= CONFIDENCE:
        return f"{found}, {CONFIDENCE} or more: luck among these trials alone does not explain it."
    if effective >= CONFIDENCE:
        return (
            f"{found}: whether luck explains it hangs on how many of these trials are independent."
        )
    return f"{found}, below {CONFIDENCE}: it cannot be told from the best of as many lucky ones."
