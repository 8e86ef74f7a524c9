"""A sweep as a table: one row per variant, deflated for the number of trials."""

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

from etf_rotation.errors import InputError
from etf_rotation.production.export import csv_cell
from etf_rotation.research.build import Build, Variant
from etf_rotation.research.deflated_sharpe import (
    effective_trials,
    expected_max_sharpe,
    mean_correlation,
    probabilistic_sharpe,
    shape,
)
from etf_rotation.research.sweep import Result

WRITERS = {".parquet": pa.parquet.write_table, ".csv": pa.csv.write_csv}


class Trials(NamedTuple):
    """The trials: number, correlation, and the best Sharpe ratio to expect by luck."""

    n_trials: int  # trials with a Sharpe ratio
    common_sessions: int
    correlation: float | None  # mean of all pairs; None with a single trial
    effective: float
    expected_max: float  # annual, of all trials
    expected_max_effective: float  # annual, of the effective ones


def judge(
    build: Build, variants: Sequence[Variant], results: Sequence[Result]
) -> tuple[Trials, list[dict]]:
    """Return the trials, and one row per variant in order.

    Notes
    -----
    `deflated_sharpe` counts every variant as an independent trial, which is the strict
    reading. `deflated_sharpe_effective` counts the equivalent number of independent
    trials, from the mean correlation of daily returns on common sessions. Both use the
    variance of all Sharpe ratios (ddof 1).
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
            "strategy": build.strategy,
            "pool": build.pool,
            "variant": n,
            "is_build": variant == build.variant,
            **variant._asdict(),
            "factors": "+".join(variant.factors),
            **metrics,
            "trades": result.trades,
            "skewness": skewness,
            "kurtosis": kurtosis,
            "trials": trials.n_trials,
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
    # All variants end on the same session, so the last sessions are common to all.
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
    """Reject a file that cannot be written, before any work is done.

    Raises
    ------
    InputError
        The file is neither parquet nor CSV, or its folder does not exist.
    """
    if path.suffix not in WRITERS:
        raise InputError(f"--output {path}: the name must end in {' or '.join(WRITERS)}")
    if not path.parent.is_dir():
        raise InputError(f"--output {path}: there is no folder {path.parent}")


def write(rows: Sequence[dict], path: Path) -> None:
    """Write the rows atomically; replace an earlier file."""
    if path.suffix == ".csv":
        rows = [{name: csv_cell(value) for name, value in row.items()} for row in rows]
    table = pa.Table.from_pylist(list(rows))
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        WRITERS[path.suffix](table, temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
