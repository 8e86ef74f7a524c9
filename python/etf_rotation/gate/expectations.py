"""Great Expectations suites over the raw rows and the published tables.

A suite is a list of expectations on one table. A run gives one row per expectation, and pages
that can be read offline.
"""

from __future__ import annotations

import logging
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from etf_rotation.bilingual import Bilingual
from etf_rotation.late_imports import late_imports

# Importing these two takes half the time, and only expectations on distributions use
# them.
with late_imports("scipy.stats", "altair"):
    import great_expectations as gx
    import great_expectations.expectations as gxe
    from great_expectations.data_context.types.base import (
        DataContextConfig,
        InMemoryStoreBackendDefaults,
    )

SCHEMA = pa.schema(
    [
        ("suite", pa.string()),
        ("table_name", pa.string()),
        ("expectation", pa.string()),
        ("column_name", pa.string()),
        ("is_blocking", pa.bool_()),
        ("success", pa.bool_()),
        ("observed", pa.string()),
        ("unexpected_count", pa.int64()),
        ("details", pa.string()),
        ("details_zh", pa.string()),
    ]
)

SYMBOL = r"^[0-9]{6}\.(?:SH|SZ)$"
EXAMPLES = 3

# The quarantine takes and counts the raw rows that break an expectation. The build stops
# only if most rows do, because then there is nothing left to compute with.
MOST = 0.5


@dataclass
class Suite:
    """Expectations on one table.

    Parameters
    ----------
    table : str
        Name of the table.
    columns : str
        SQL list of the columns to look at.
    row_keys : tuple of str
        Columns that identify a row in an example.
    expectations : list
        Objects of Great Expectations; `meta` may have `is_blocking` (default True).
    """

    table: str
    columns: str
    row_keys: tuple[str, ...]
    expectations: list = field(default_factory=list)


def _may_break(expectation: Callable, **arguments: Any) -> object:
    """Return an expectation that does not stop the build."""
    return expectation(meta={"is_blocking": False}, **arguments)


def _not_null(*columns: str) -> list:
    return [gxe.ExpectColumnValuesToNotBeNull(column=column) for column in columns]


def _between(low: float | None, high: float | None, *columns: str, strict: bool = False) -> list:
    return [
        gxe.ExpectColumnValuesToBeBetween(
            column=column, min_value=low, max_value=high, strict_min=strict
        )
        for column in columns
    ]


def _unique(*columns: str) -> object:
    return gxe.ExpectCompoundColumnsToBeUnique(column_list=list(columns))


def raw_suites() -> list[Suite]:
    """Return the expectations on raw rows: those that block, and those that warn."""
    numbers = ("open", "high", "low", "close", "vol", "amount")
    rows = [
        gxe.ExpectTableRowCountToBeBetween(min_value=1),
        gxe.ExpectColumnValuesToMatchRegex(column="raw_symbol", regex=SYMBOL, mostly=MOST),
        gxe.ExpectColumnValuesToNotBeNull(column="trade_date", mostly=MOST),
        gxe.ExpectColumnValuesToBeNull(column="date_fault", mostly=MOST),
        gxe.ExpectColumnValuesToBeNull(column="text_column", mostly=MOST),
        *(gxe.ExpectColumnValuesToNotBeNull(column=name, mostly=MOST) for name in numbers),
        gxe.ExpectColumnPairValuesAToBeGreaterThanB(
            column_A="high",
            column_B="low",
            or_equal=True,
            mostly=MOST,
            ignore_row_if="either_value_is_missing",
        ),
        _may_break(gxe.ExpectColumnValuesToNotBeNull, column="raw_symbol"),
        _may_break(gxe.ExpectColumnValuesToMatchRegex, column="raw_symbol", regex=SYMBOL),
        _may_break(gxe.ExpectColumnValuesToBeNull, column="date_fault"),
        _may_break(gxe.ExpectColumnValuesToBeNull, column="text_column"),
        # Only within a file: equal rows of two files are merged, and the check several_files
        # names the files.
        _may_break(
            gxe.ExpectCompoundColumnsToBeUnique,
            column_list=["source_file", "raw_symbol", "trade_date"],
            ignore_row_if="any_value_is_missing",
        ),
        *(
            _may_break(gxe.ExpectColumnValuesToBeBetween, column=name, min_value=0, max_value=1e15)
            for name in ("low", "high", "vol", "amount")
        ),
    ]
    files = [
        gxe.ExpectTableRowCountToBeBetween(min_value=1),
        *_not_null("sha256", "column_types"),
        *_between(1, None, "rows"),
        gxe.ExpectColumnValuesToBeUnique(column="source_file"),
    ]
    columns = "source_file, source_row, raw_symbol, trade_date, date_fault, text_column"
    return [
        Suite("raw_files", "source_file, sha256, column_types, rows", ("source_file",), files),
        Suite(
            "raw_rows",
            f"{columns}, {', '.join(numbers)}",
            ("source_file", "source_row", "raw_symbol", "trade_date"),
            rows,
        ),
    ]


def published_suites() -> list[Suite]:
    """Return the expectations on the published tables."""
    key = ("symbol", "trade_date")
    row = ("pool", "trade_date", "symbol")
    return [
        Suite(
            "stg_etf_daily",
            f"{', '.join(key)}, low, high, close, adj_low, adj_high, adj_close, adj, "
            "volume, amount",
            key,
            [
                gxe.ExpectTableRowCountToBeBetween(min_value=1),
                gxe.ExpectColumnValuesToMatchRegex(column="symbol", regex=SYMBOL),
                _unique(*key),
                *_not_null("close", "adj_close", "adj"),
                *_between(0, 1e10, "low", "high", "adj_low", "adj_high", "adj", strict=True),
                *_between(1, None, "volume"),
                *_between(0, 1e15, "amount"),
                gxe.ExpectColumnPairValuesAToBeGreaterThanB(
                    column_A="high", column_B="low", or_equal=True
                ),
            ],
        ),
        Suite(
            "factor_panel",
            "symbol, trade_date, as_of_date, pool",
            key,
            [
                gxe.ExpectTableRowCountToBeBetween(min_value=1),
                *_not_null("as_of_date", "pool"),
                _unique(*key),
                gxe.ExpectColumnPairValuesAToBeGreaterThanB(
                    column_A="trade_date", column_B="as_of_date"
                ),
            ],
        ),
        Suite(
            "scores",
            "pool, trade_date, symbol, as_of_date, score, rank",
            row,
            [
                _unique("symbol", "trade_date"),
                *_between(0, 1, "score", strict=True),
                *_between(1, None, "rank"),
            ],
        ),
        Suite(
            "target_weights",
            "strategy, pool, trade_date, tranche, symbol, target_weight, score, rank, adv20",
            ("strategy", *row),
            [
                _unique("strategy", "pool", "trade_date", "tranche", "symbol"),
                *_not_null("target_weight", "score", "adv20"),
                *_between(0, 1, "target_weight"),
                *_between(0, None, "adv20", strict=True),
            ],
        ),
        Suite(
            "trades",
            "strategy, pool, trade_date, tranche, symbol, sequence, side, shares, price, value, "
            "commission, slippage",
            ("strategy", *row),
            [
                _unique("strategy", "pool", "trade_date", "tranche", "symbol"),
                gxe.ExpectColumnValuesToBeInSet(column="side", value_set=["buy", "sell"]),
                *_between(0, None, "shares", "price", "value", strict=True),
                # The payout of a fund that ended costs nothing.
                *_between(0, None, "commission", "slippage"),
            ],
        ),
        Suite(
            "positions_daily",
            "strategy, pool, trade_date, symbol, shares, close, market_value, weight",
            ("strategy", *row),
            [
                _unique("strategy", *row),
                *_between(0, None, "shares", "close", "market_value", strict=True),
                *_between(0, 1 + 1e-9, "weight", strict=True),
            ],
        ),
        Suite(
            "equity_daily",
            "strategy, pool, trade_date, equity, cash, holdings_value, daily_return, drawdown",
            ("strategy", "pool", "trade_date"),
            [
                _unique("strategy", "pool", "trade_date"),
                *_not_null("equity", "cash", "daily_return"),
                *_between(0, None, "equity", strict=True),
                *_between(0, None, "cash", "holdings_value"),
                *_between(-1, 0, "drawdown"),
            ],
        ),
    ]


def run_suites(name: str, suites: list[Suite], tables: dict, docs: Path) -> pa.Table:
    """Run suites and write their pages.

    Parameters
    ----------
    name : str
        Name of the set of suites, and of the folder of its pages.
    suites : list of Suite
        One per table.
    tables : dict of str to DuckDBPyRelation
        Every table that a suite names.
    docs : Path
        Folder of all pages. `{name}/` is written anew, and `index.html` links to every
        set of suites.

    Returns
    -------
    pa.Table
        `SCHEMA`, one row per expectation. One that cannot be evaluated counts as failed.
    """
    context = _context()
    rows = []
    for suite in suites:
        relation = tables[suite.table].project(suite.columns)
        rows += _run(context, name, suite, relation)
    _write_pages(context, docs, name)
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def _context():
    # Every other kind of context leaves a folder in the temporary directory.
    stores = InMemoryStoreBackendDefaults(init_temp_docs_sites=False)
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    context = gx.get_context(
        mode="ephemeral", project_config=DataContextConfig(store_backend_defaults=stores)
    )
    context.variables.progress_bars = {"globally": False}
    return context


def _run(context: Any, name: str, suite: Suite, relation: duckdb.DuckDBPyRelation) -> list[dict]:
    asset = context.data_sources.add_pandas(suite.table).add_dataframe_asset(suite.table)
    expectations = gx.ExpectationSuite(name=suite.table)
    for expectation in suite.expectations:
        expectations.add_expectation(expectation)
    validation = gx.ValidationDefinition(
        name=suite.table,
        data=asset.add_batch_definition_whole_dataframe("all"),
        suite=context.suites.add(expectations),
    )
    result = context.validation_definitions.add(validation).run(
        batch_parameters={"dataframe": relation.df()},
        result_format={
            "result_format": "SUMMARY",
            "unexpected_index_column_names": list(suite.row_keys),
            "partial_unexpected_count": EXAMPLES,
        },
    )
    return [_row(name, suite, one.to_json_dict()) for one in result.results]


def _row(name: str, suite: Suite, result: dict) -> dict:
    config, found = result["expectation_config"], result["result"]
    arguments = config["kwargs"]
    columns = [arguments[key] for key in ("column", "column_A", "column_B") if key in arguments]
    columns = columns or arguments.get("column_list", [])
    details = None if result["success"] else _details(suite, found, result["exception_info"])
    return {
        "suite": name,
        "table_name": suite.table,
        "expectation": config["type"],
        "column_name": ", ".join(columns) or None,
        "is_blocking": (config.get("meta") or {}).get("is_blocking", True),
        "success": result["success"],
        "observed": _text(found.get("observed_value", found.get("unexpected_percent"))),
        "unexpected_count": found.get("unexpected_count"),
        "details": details and details.en,
        "details_zh": details and details.zh,
    }


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _plain(value: object) -> str:
    """Return a key in readable form: pandas has timestamps at midnight instead of dates."""
    return str(value).removesuffix("T00:00:00")


def _details(suite: Suite, found: dict, exceptions: dict) -> Bilingual:
    examples = found.get("partial_unexpected_index_list") or []
    where = [
        " ".join(_plain(row[key]) for key in suite.row_keys if row[key] is not None)
        for row in examples[:EXAMPLES]
    ]
    if where:
        count, rows = found["unexpected_count"], "; ".join(where)
        return Bilingual(f"{count} rows, such as {rows}", f"{count} 行，如 {rows}")
    if "observed_value" in found:
        observed = found["observed_value"]
        return Bilingual(f"observed {observed}", f"实际为 {observed}")
    failures = [exceptions, *(value for value in exceptions.values() if isinstance(value, dict))]
    messages = [one["exception_message"] for one in failures if one.get("exception_message")]
    reason = messages[0] if messages else "great_expectations gave no reason"
    return Bilingual(f"cannot be evaluated: {reason}", f"无法校验：{reason}")


STYLE = """<style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 1rem auto; max-width: 70rem; padding: 0 1rem;
       color: #222; background: #fff; }
table { border-collapse: collapse; width: 100%; }
td, th { border-bottom: 1px solid #ddd; padding: .3rem .6rem; text-align: left;
         vertical-align: top; }
ul, ol { padding-left: 1.2rem; } li { margin: .1rem 0; } img { max-width: 12rem; }
.fa-check-circle::before { content: "\\2713"; color: #17803d; }
.fa-times::before, .fa-exclamation-triangle::before { content: "\\2717"; color: #b3261e; }
.modal, .navbar-toggler, .dropdown-menu, iframe { display: none; }
.collapse { display: block; }
</style>"""


def _write_pages(context: Any, docs: Path, name: str) -> None:
    folder = (docs / name).absolute()
    if folder.exists():
        shutil.rmtree(folder)
    context.add_data_docs_site(
        name,
        {
            "class_name": "SiteBuilder",
            "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
            "show_how_to_buttons": False,
            "store_backend": {
                "class_name": "TupleFilesystemStoreBackend",
                "base_directory": str(folder),
            },
        },
    )
    context.build_data_docs()
    # The pages fetch style sheets and scripts from the network; readers may have none.
    for page in folder.rglob("*.html"):
        page.write_text(offline(page.read_text(encoding="utf-8")), encoding="utf-8")
    links = "".join(
        f'<li><a href="{path.name}/index.html">{path.name}</a></li>'
        for path in sorted(docs.iterdir())
        if (path / "index.html").is_file()
    )
    (docs / "index.html").write_text(
        f'<!DOCTYPE html><html><head><meta charset="utf-8"><title>Expectations</title>{STYLE}'
        "</head>"
        f"<body><h1>Expectations</h1><ul>{links}</ul></body></html>\n",
        encoding="utf-8",
    )


def offline(page: str) -> str:
    """Return an HTML page without anything that it would fetch from the network."""
    page = re.sub(r'<script\b[^>]*\bsrc="https?://[^>]*>\s*</script>', "", page)
    page = re.sub(r'<link\b[^>]*\bhref="https?://[^>]*>', "", page)
    page = re.sub(r"<iframe\b.*?</iframe>", "", page, flags=re.DOTALL)
    page = re.sub(r'\bsrc="https?://[^"]*"', "", page)
    return page.replace("</head>", f"{STYLE}</head>", 1)
