"""The summary at the end of a sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from etf_rotation.console import render_table
from etf_rotation.research.build import Build, Variant
from etf_rotation.research.comparison import Comparable, Comparison, Walk
from etf_rotation.research.overfitting import BLOCKS, Overfitting
from etf_rotation.research.results import Trials
from etf_rotation.research.walk_forward import Figures

BEST = 10
CONFIDENCE = 0.95
SHOWN = (
    "variant",
    "is_build",
    "factors",
    "top_n",
    "keep_rank",
    "weighting",
    "redistribute",
    "rebalance",
    "rebalance_offset",
    "tranches",
    "min_weight_change",
    "slippage_bps",
    "commission_bps",
    "first_date",
    "annual_return",
    "max_drawdown",
    "annual_turnover",
    "sharpe",
    "deflated_sharpe",
    "deflated_sharpe_effective",
)


def summary_text(
    build: Build, trials: Trials, rows: Sequence[dict], comparison: Comparison | None
) -> str:
    """Describe the best variants, the result expected by luck, and a conclusion."""
    ranked = sorted(
        (row for row in rows if row.get("sharpe") is not None),
        key=lambda row: (-row["sharpe"], row["variant"]),
    )
    where = f"{build.strategy} in {build.pool}"
    if not ranked:
        return (
            f"None of the {len(rows):,} variants of {where} ever traded long enough: a first "
            "rebalance needs as many eligible funds as top_n, and annual figures need "
            f"{build.variables['min_metrics_sessions']} sessions."
        )
    own = [row for row in rows if row["is_build"]]
    lines = [
        f"The best {min(BEST, len(ranked))} of {len(rows):,} variants of {where} by Sharpe ratio, "
        "and last the build's own",
        _table(build, rows, [*ranked[:BEST], *own]),
        "",
        f"Trials: {trials.n_trials:,}{_worth(trials)}.",
        f"Best Sharpe ratio to expect without any skill: {trials.expected_max:.2f} of all trials, "
        f"{trials.expected_max_effective:.2f} of the independent ones.",
        _verdict(ranked[0]),
        *(_compared(build, comparison, rows) if comparison else ()),
        *_spans(ranked),
        "To choose the best variant is to fit to this sample: its past figures flatter it, and "
        "none of these statistics knows what was tried elsewhere, or the hindsight in the choice "
        "of the funds.",
    ]
    if build.is_synthetic:
        lines.append("SYNTHETIC DATA, not market data")
    return "\n".join(lines)


def _table(build: Build, rows: Sequence[Mapping], shown: Sequence[Mapping]) -> str:
    """Render rows as a table without the settings that all variants share."""
    varied = {"factors", *_varied(rows)}
    names = [name for name in SHOWN if name not in Variant._fields or name in varied]
    return render_table(names, [[_shown(build, row, name) for name in names] for row in shown])


def _varied(rows: Sequence[Mapping]) -> list[str]:
    """Return the settings, except factors, in which rows differ."""
    return [name for name in Variant._fields[1:] if len({row[name] for row in rows}) > 1]


def _shown(build: Build, row: Mapping, name: str) -> object:
    if name == "factors":
        return _short(row, build)
    return "all" if name == "top_n" and row[name] is None else row[name]


def _short(row: Mapping, build: Build) -> str:
    """Return a row's factors, or the omitted ones if that is shorter."""
    if not row["factors"]:
        return build.ranking
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


def _compared(build: Build, comparison: Comparison, rows: Sequence[Mapping]) -> list[str]:
    own = comparison.comparable
    late = len(own.numbers) - len(own.common)
    lines = [
        "",
        f"Between {len(own.common):,} variants with slippage {own.slippage_bps:g} bp and "
        f"commission {own.commission_bps:g} bp, on their {len(own.returns):,} common sessions"
        + (f" ({late:,} more begin later):" if late else ":"),
        _overfitting(comparison.overfitting),
    ]
    if comparison.asked.holdout_start:
        lines.append(_holdout(comparison, own))
    if comparison.walk:
        lines.extend(_walk(build, comparison.walk, own, rows))
    return [*lines, ""]


def _overfitting(found: Overfitting | None) -> str:
    if found is None:
        return "PBO: it needs two variants and more common sessions than these."
    return (
        f"PBO {found.pbo:.2f} (probability of backtest overfitting, CSCV with {BLOCKS} blocks, "
        f"{found.splits:,} splits): the best of one half of the history is in {found.pbo:.0%} of "
        "the splits not above the median in the other half, and has in "
        f"{found.loss:.0%} a negative Sharpe ratio there. Choosing without any information gives "
        "0.50."
    )


def _holdout(comparison: Comparison, own: Comparable) -> str:
    found, start = comparison.holdout, comparison.asked.holdout_start
    if found is None:
        return f"Holdout: too few of these sessions lie before {start} or since."
    correlation = "none" if found.correlation is None else f"{found.correlation:+.2f}"
    return (
        f"Holdout: rank correlation {correlation} of the Sharpe ratios before {start} "
        f"({found.before:,} sessions) and since ({found.since:,} sessions); the best before, "
        f"variant {own.common[found.best] + 1}, ranks {found.rank_since:g} of "
        f"{len(own.common):,} since."
    )


def _walk(build: Build, walk: Walk, own: Comparable, rows: Sequence[Mapping]) -> list[str]:
    chosen = [rows[own.numbers[choice.variant]] for choice in walk.choices]
    names = ["variant", "factors", *_varied(chosen)]
    table = [
        [
            day,
            *(_shown(build, row, name) for name in names),
            choice.turnover,
            choice.cost,
        ]
        for day, row, choice in zip(walk.dates, chosen, walk.choices, strict=True)
    ]
    figures = [[name, *(found or (None, None, None))] for name, found in walk.figures.items()]
    trailing, following = walk.windows
    return [
        "",
        f"Walk-forward: the best of the trailing {trailing} months by Sharpe ratio, followed for "
        f"{following} months, with the turnover of each switch charged",
        render_table(["from", *names, "turnover", "cost"], table),
        "",
        f"The same {walk.sessions:,} sessions from {walk.dates[0]} on",
        render_table(["", *Figures._fields], figures),
    ]
