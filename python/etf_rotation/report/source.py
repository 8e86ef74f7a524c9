"""The report's access to the finished database, in the reader's language."""

from __future__ import annotations

import json

import duckdb

from etf_rotation.errors import InputError
from etf_rotation.report import plots
from etf_rotation.texts import texts

PORTFOLIO = "PORTFOLIO"
RIVAL = "equal_weight"


class Tables:
    """Reads a database in which tables may be missing."""

    def __init__(self, connection: duckdb.DuckDBPyConnection):
        self.connection = connection
        self.present = {
            row[0]
            for row in connection.execute(
                "select schema_name || '.' || table_name from duckdb_tables()"
            ).fetchall()
        }

    def rows(self, table: str, query: str, *more: str) -> list[dict]:
        """Return the rows of a query; empty if `table` or one of `more` is missing."""
        if not {table, *more} <= self.present:
            return []
        cursor = self.connection.execute(query)
        names = [column[0] for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


class Source:
    """Inputs of every section of the report: tables, texts, fund names and figures.

    Parameters
    ----------
    tables : Tables
        Tables of the finished database.
    language : str
        `en` or `zh`.
    is_synthetic : bool or None
        Whether the data is synthetic; needed for a database without
        `gate.run_metadata`.

    Raises
    ------
    InputError
        The database does not state whether its data is synthetic.
    """

    def __init__(self, tables: Tables, language: str, is_synthetic: bool | None):
        self.tables = tables
        self.rows = tables.rows
        self.language = language
        self.words = texts("report", language)
        self.columns = plots.Columns()
        self.figures: dict[str, dict] = {}
        self.funds = {
            row["symbol"]: row["name"]
            for row in tables.rows("seeds.etf_pools", "select symbol, name from seeds.etf_pools")
        }
        run = tables.rows("gate.run_metadata", "from gate.run_metadata")
        self.run = run[0] if run else {}
        self.parameters = json.loads(self.run.get("run_parameters") or "{}")
        found = self.run.get("is_synthetic")
        self.is_synthetic = is_synthetic if found is None else found
        if self.is_synthetic is None:
            raise InputError(
                "the database has no gate.run_metadata.is_synthetic, so the report cannot tell "
                "whether its numbers are real; build the gate"
            )
        # PORTFOLIO first, because it stands for the whole account.
        self.live = {
            row["pool"]: row["strategy"]
            for row in tables.rows(
                "marts.pool_metrics_summary",
                "select pool, strategy from marts.pool_metrics_summary where is_live "
                "order by pool <> 'PORTFOLIO', pool",
            )
        }
        self.simulated = {
            row["pool"]
            for row in tables.rows(
                "seeds.pool_constraints",
                "select pool from seeds.pool_constraints where portfolio_weight = 0",
            )
        }

    def fund(self, symbol: str | None) -> str:
        """Return a fund's code with its name, if the seed has one."""
        return " ".join(filter(None, (symbol, self.funds.get(symbol))))

    def in_language(self, row: dict, column: str) -> str:
        """Return a column, or its Chinese twin, in the reader's language."""
        return row[f"{column}_zh" if self.language == "zh" else column]

    def strategy_name(self, strategy: str) -> str:
        """Return a strategy's name; shipped strategies have one in each language."""
        return self.words["strategy_names"].get(strategy, strategy)

    def draw(self, name: str, figure: dict) -> str:
        """Store a figure for the page; return the name by which to refer to it."""
        self.figures[name] = figure
        return name
