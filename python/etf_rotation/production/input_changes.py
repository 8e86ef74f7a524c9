"""Changes of the input since the published build: new sessions, restated history."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from etf_rotation.sql import attach
from etf_rotation.staging.raw_files import NUMBERS
from etf_rotation.texts import texts

NAMED = 5  # funds with changed history in the message; the manifest has all

# Settings that may differ between runs without changing a number.
NOT_COMPARED = (
    "completed_until",
    "due_until",
    "language",
    "published_database",
    "raw_root",
    "sample_root",
    "target_name",
    "today",
)

# Compared columns: neither the spelling of a date nor the position of a row.
CONTENT = ", ".join(
    (
        "raw_symbol",
        "trade_date",
        "case when trade_date is null then raw_trade_date end as undated",
        "date_fault",
        "text_column",
        *NUMBERS,
    )
)

DIFFERING = f"""
    create temp table differing as
    with
    before_rows as (
        select {CONTENT} from before.staging.raw_rows
        where trade_date is null or trade_date <= coalesce(cast($as_of as date), 'infinity')
    ),
    after_rows as (
        select {CONTENT} from staging.raw_rows
    ),
    differing as (
        -- Not `except all`: identical rows count once, in one file or in several.
        select false as is_gained, * from (from before_rows except from after_rows)
        union all
        select true, * from (from after_rows except from before_rows)
    )
    select
        raw_symbol as symbol,
        trade_date,
        -- A row that was corrected is lost once and gained once.
        greatest(count(*) filter (is_gained), count(*) filter (not is_gained)) as n,
        coalesce(trade_date > cast($last_date as date), false) as is_later
    from differing
    group by all
"""

RESTATED = """
    select
        symbol,
        case
            when not exists (
                from before.staging.raw_rows where raw_symbol is not distinct from symbol
            ) then 'new'
            when not exists (from staging.raw_rows where raw_symbol is not distinct from symbol)
                then 'gone'
            else 'restated'
        end as kind,
        cast(min(trade_date) as varchar) as first_date,
        cast(sum(n) as bigint) as n
    from differing
    where not is_later
    group by symbol
    order by symbol
"""

ADDED = """
    select
        cast(coalesce(sum(n), 0) as bigint),
        count(distinct symbol)
    from differing
    where is_later
"""

METADATA = "select last_date, run_parameters, code_version, engine_version from {}gate.run_metadata"


@dataclass(frozen=True)
class Restated:
    """A fund whose rows up to the published build's last session have changed.

    `kind` is `restated`, `new` (the fund had no row) or `gone` (it has no row). `rows`
    is the number of differing rows. `first_date` is the earliest of their dates (ISO),
    None if no such row has a date.
    """

    symbol: str | None
    kind: str
    first_date: str | None
    rows: int


@dataclass(frozen=True)
class InputChanges:
    """Changes since run `run_id`, whose last session was `last_date` (ISO)."""

    run_id: str
    last_date: str
    added_rows: int = 0
    added_funds: int = 0
    restated: list[Restated] = field(default_factory=list)
    is_code_changed: bool = False
    settings_changed: list[str] = field(default_factory=list)


def since(
    connection: duckdb.DuckDBPyConnection, published: Path, as_of: str | None
) -> InputChanges:
    """Compare a build's raw rows, code and settings with those of the published build.

    Parameters
    ----------
    connection : DuckDBPyConnection
        The new build's database; `published` is attached to it temporarily.
    published : Path
        The published database, in its run's directory.
    as_of : str or None
        `YYYY-MM-DD`; later rows of the published build do not count as missing.

    Raises
    ------
    duckdb.Error
        One of the databases is no finished build.
    """
    attach(connection, published, "before")
    try:
        old, new = (
            connection.execute(METADATA.format(place)).fetchall()[0] for place in ("before.", "")
        )
        connection.execute(DIFFERING, {"as_of": as_of, "last_date": old[0]})
        restated = connection.execute(RESTATED).fetchall()
        added_rows, added_funds = connection.execute(ADDED).fetchall()[0]
        connection.execute("drop table differing")
    finally:
        connection.execute("detach before")
    return InputChanges(
        run_id=published.resolve().parent.name,
        last_date=old[0].isoformat(),
        added_rows=added_rows,
        added_funds=added_funds,
        restated=[Restated(*row) for row in restated],
        is_code_changed=old[2:] != new[2:],
        settings_changed=_settings_changed(json.loads(old[1]), json.loads(new[1])),
    )


def _settings_changed(old: dict, new: dict) -> list[str]:
    names = sorted((old.keys() | new.keys()) - set(NOT_COMPARED))
    return [name for name in names if old.get(name) != new.get(name)]


def since_line(since: InputChanges, language: str) -> str:
    """Return one line on the changes of input, code and settings since a run."""
    words = texts("message", language)
    added = {"rows": since.added_rows, "funds": since.added_funds, "date": since.last_date}
    if since.restated:
        named = [
            words[fund.kind].format(
                symbol=fund.symbol or "-", rows=fund.rows, date=fund.first_date or "-"
            )
            for fund in since.restated[:NAMED]
        ]
        if len(since.restated) > NAMED:
            named.append(words["more"].format(len(since.restated) - NAMED))
        parts = [words["history"].format(words["joint"].join(named))]
        parts += [words["later"].format(**added)] if since.added_rows else []
    else:
        parts = [words["added"].format(**added) if since.added_rows else words["same"]]
    parts += [words["code"]] if since.is_code_changed else []
    if since.settings_changed:
        parts.append(words["settings"].format(", ".join(since.settings_changed)))
    return words["since"].format(since.run_id, words["joint"].join(parts))
