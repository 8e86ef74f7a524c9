"""Copy `reconcile/` into a run's schema `live`; record publications and tracking.

Production calls this after the gate. A file that cannot be read causes a warning, not a
failure.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from etf_rotation.bilingual import Bilingual
from etf_rotation.dbt_project import project_vars
from etf_rotation.production import manifest as manifests
from etf_rotation.production.snapshots import DATABASE
from etf_rotation.reconcile.aliases import read_seeds
from etf_rotation.reconcile.model import TABLES, has_tables, read_model, read_weights
from etf_rotation.reconcile.publications import content_of
from etf_rotation.reconcile.storage import DAYS, TRACKING, Days, Store, cumulated, tracked_days
from etf_rotation.reconcile.texts import RefusedError, text
from etf_rotation.reconcile.tracking import Live, Tracked, fill
from etf_rotation.sql import sql_text
from etf_rotation.texts import LANGUAGES

DEFINITIONS = Path(__file__).parent / "live_tables.toml"
OUTSIDE = "outside"


@dataclass
class LiveCopy:
    """The result of copying `reconcile/` into a run's database.

    Attributes
    ----------
    checksums : dict of file to SHA-256
        The files of `reconcile/` that were read; the manifest lists them.
    damaged : list of str
        Files that do not match their checksum and were skipped.
    filled : list of Tracked
        Tracking rows whose model part this run computed.
    """

    checksums: dict[str, str] = field(default_factory=dict)
    damaged: list[str] = field(default_factory=list)
    filled: list[Tracked] = field(default_factory=list)

    @property
    def warnings(self) -> list[Bilingual]:
        """One line for each damaged file."""
        return [
            Bilingual(*(text(language, "live.damaged", file=name) for language in LANGUAGES))
            for name in self.damaged
        ]


def copy_into(database: Path, base: Path, run_id: str) -> LiveCopy:
    """Write the schema `live` into a finished database.

    Parameters
    ----------
    database : Path
        The run's database; no other connection may be open.
    base : Path
        The folder of the output root; `reconcile/` may be absent.
    run_id : str

    Notes
    -----
    Sessions after the build's last session are skipped, so `as_of` hides them. A
    partial build without `gate.run_metadata` gets no schema.
    """
    copy = LiveCopy()
    store = Store(base)
    with duckdb.connect(str(database)) as connection:
        until = _last_session(connection)
        if until is None:
            return copy
        days, copy.damaged = store.read_days(s for s in store.sessions() if s <= until)
        tracked = [row for row in tracked_days(days, _kept(store, copy)) if row.trade_date in days]
        weights: dict[tuple[dt.date, str], float] = {}
        known: set[dt.date] = set()
        if days and has_tables(connection, *TABLES):
            models = read_model(connection, list(days), run_id)
            known, weights = set(models), read_weights(connection)
            for place, row in enumerate(tracked):
                if not row.is_filled and row.trade_date in models:
                    live = Live.from_dict(days[row.trade_date][0]["live"])
                    tracked[place] = fill(row, live, models[row.trade_date])
                    copy.filled.append(tracked[place])
        _create(connection)
        _insert(connection, "fills", _rows_of(days, "fills"))
        _insert(connection, "positions", _positions(days, weights, known))
        _insert(connection, "cash", _rows_of(days, "cash"))
        _insert(connection, "orders_filled", _orders(days))
        _insert(connection, "tracking", cumulated(tracked))
    for session in days:
        path = store.day_path(session)
        copy.checksums[f"{DAYS}/{path.name}"] = hashlib.sha256(path.read_bytes()).hexdigest()
    if store.tracking_path.is_file():
        digest = hashlib.sha256(store.tracking_path.read_bytes()).hexdigest()
        copy.checksums[TRACKING] = digest
    return copy


def _last_session(connection: duckdb.DuckDBPyConnection) -> dt.date | None:
    """Return the build's last session, None for a partial build without metadata."""
    if not has_tables(connection, "gate.run_metadata"):
        return None
    return connection.execute("select last_date from gate.run_metadata").fetchall()[0][0]


def _kept(store: Store, copy: LiveCopy) -> list[Tracked]:
    try:
        return store.read_tracking()
    except RefusedError:
        copy.damaged.append(TRACKING)
        return []


@cache
def definitions() -> dict[str, Any]:
    """Return the definitions of the tables: description, columns, types."""
    return tomllib.loads(DEFINITIONS.read_text(encoding="utf-8"))


def _create(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("create schema if not exists live")
    for name, table in definitions().items():
        columns = ", ".join(f'"{column}" {kind}' for column, (kind, _) in table["columns"].items())
        connection.execute(f"create or replace table live.{name} ({columns})")
        connection.execute(f"comment on table live.{name} is {sql_text(table['description'])}")
        for column, (_, description) in table["columns"].items():
            connection.execute(
                f'comment on column live.{name}."{column}" is {sql_text(description)}'
            )


def _insert(
    connection: duckdb.DuckDBPyConnection, table: str, rows: Iterable[Mapping[str, Any]]
) -> None:
    """Insert rows; DuckDB casts each value from text to the column's type."""
    columns = definitions()[table]["columns"]
    texts: dict[str, list[str | None]] = {column: [] for column in columns}
    for row in rows:
        for column, values in texts.items():
            value = row.get(column)
            values.append(None if value is None else str(value))
    arrow = pa.table({column: pa.array(values, pa.string()) for column, values in texts.items()})
    connection.register("live_rows", arrow)
    selected = ", ".join(f'cast("{column}" as {kind})' for column, (kind, _) in columns.items())
    connection.execute(f"insert into live.{table} select {selected} from live_rows")
    connection.unregister("live_rows")


def _rows_of(days: Days, part: str) -> list[dict[str, Any]]:
    return [
        {**row, "trade_date": session}
        for session, (content, _) in days.items()
        for row in content[part]
    ]


def _positions(
    days: Days, weights: Mapping[tuple[dt.date, str], float], known: set[dt.date]
) -> list[dict[str, Any]]:
    rows = _rows_of(days, "positions")
    for row in rows:
        session, value = (
            row["trade_date"],
            float(days[row["trade_date"]][0]["live"]["closing_value"]),
        )
        if row["pool"] is None:
            row["pool"] = OUTSIDE
        elif value > 0:
            row["weight"] = float(row["market_value"]) / value
        if session in known:
            row["model_weight"] = weights.get((session, row["symbol"]), 0.0)
    return rows


def _orders(days: Days) -> list[dict[str, Any]]:
    return [
        {**row, **(days[row["trade_date"]][0]["published"] or {})}
        for row in _rows_of(days, "orders")
    ]


def keep_tracking(base: Path, filled: Sequence[Tracked], now: dt.datetime) -> None:
    """Store the model's part that a published run computed in the tracking table.

    Raises
    ------
    RunningError, OSError
        The folder is in use, or cannot be written.
    """
    if not filled:
        return
    store = Store(base)
    with store.locked("run", now):
        days, _ = store.read_days(store.sessions())
        rows = {row.trade_date: row for row in tracked_days(days, _kept(store, LiveCopy()))}
        for row in filled:
            # If the session was reconciled again in the meantime, the next run fills it
            # in.
            if row.trade_date in rows and rows[row.trade_date].day_sha256 == row.day_sha256:
                rows[row.trade_date] = row
        store.write_tracking(rows[session] for session in sorted(rows))


def catch_up(base: Path, project: Path, published: Path | None) -> None:
    """Record the orders of the published run if they are not recorded yet.

    A run that was killed right after publishing did not record its orders. The
    manifest's finish time, shortly before publication, stands in for the time of
    publication.
    """
    manifest = manifests.read(published) if published else None
    if published is None or manifest is None:
        return
    kept = {path.stem.partition("_")[2] for path in Store(base).publications()}
    if published.name in kept:
        return
    try:
        with duckdb.connect(str(published / DATABASE), read_only=True) as connection:
            rows = published_orders(connection)
        published_at = dt.datetime.fromisoformat(manifest["finished_at"])
        variables = project_vars() | manifest["vars"]
    except (duckdb.Error, KeyError, TypeError, ValueError):
        # A damaged run has no orders that could be recorded; reconcile then reports
        # none.
        return
    keep_publication(
        base,
        project,
        rows,
        run_id=published.name,
        published_at=published_at,
        variables=variables,
    )


def published_orders(connection: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """Return the rows of `marts.next_session_orders`, in the order to send them."""
    cursor = connection.execute(
        "select * from marts.next_session_orders order by is_simulated_pool, pool, sequence"
    )
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def keep_publication(
    base: Path,
    project: Path,
    rows: Sequence[Mapping[str, Any]],
    *,
    run_id: str,
    published_at: dt.datetime,
    variables: Mapping[str, Any],
) -> None:
    """Record the orders of a published run.

    Parameters
    ----------
    base, project : Path
        The folder of the output root; the dbt project's, with the seeds.
    rows : sequence of mapping
        `marts.next_session_orders` of the run.
    run_id : str
    published_at : datetime
        In Shanghai.
    variables : mapping
        The run's vars, with their defaults.

    Raises
    ------
    RunningError, OSError
        The folder is in use, or cannot be written.
    """
    store = Store(base)
    with store.locked("run", published_at):
        content = content_of(
            rows,
            read_seeds(project / "seeds"),
            run_id=run_id,
            published_at=published_at,
            variables=variables,
        )
        store.write_publication(content)
