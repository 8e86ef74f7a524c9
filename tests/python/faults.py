"""The faults that the gate must catch, each put into data made from the sample, and who caught it.

`make faults` prints them as a table; gate/test_faults.py runs them one by one.
"""

from __future__ import annotations

import contextlib
import csv
import datetime as dt
import io
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from etf_rotation import dbt_project
from etf_rotation.sample import write_sample

PROJECT = Path(__file__).parents[2]
FOLDERS = ("models", "macros", "seeds", "tests", "python")
FILES = ("dbt_project.yml", "profiles.yml")

# Enough funds for a strategy in every pool, and enough of them that one is below a tenth.
FUNDS = {"A_SHARE": 11, "QDII": 5, "OTHER": 6}
LAST_SESSION, SESSIONS = "2022-06-30", 400

FIRST = "159915.SZ"  # of all symbols
STRANGER = "588888.SH"  # in no pool
PRICES = ("open", "high", "low", "close")

STOPPED, FAILED, WARNED = "stopped", "failed", "warned"
# Words that no name of a table, column or file holds.
WORDS = "a|after|and|as|has|in|is|it|no|not|of|on|rows?|such|the|this|to|was"
# A folder's name may hold some with a hyphen.
ENGLISH = re.compile(rf"(?<![-\w])(?:{WORDS})(?![-\w])")


class Workspace:
    """A copy of the project, a raw folder and a database, put back before every fault."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.project = folder / "project"
        self.raw = folder / "raw"
        self.database = folder / "etf_rotation.duckdb"
        self._healthy_project = folder / "healthy_project"
        self._healthy_raw = folder / "healthy_raw"
        self.healthy_database = folder / "healthy" / "etf_rotation.duckdb"
        copy_project(PROJECT, self._healthy_project)
        self._trim_seeds()
        write_sample(
            self._healthy_raw,
            pools_csv=self._healthy_project / "seeds" / "etf_pools.csv",
            last_session=LAST_SESSION,
            sessions=SESSIONS,
        )
        self.reset()
        self.healthy = self.build()
        self.healthy_database.parent.mkdir()
        shutil.copy(self.database, self.healthy_database)

    def _trim_seeds(self) -> None:
        seeds = self._healthy_project / "seeds"
        with (seeds / "etf_pools.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        kept = [
            row
            for pool, count in FUNDS.items()
            for row in [row for row in rows if row["pool"] == pool][:count]
        ]
        symbols = {row["symbol"] for row in kept}
        _write_csv(seeds / "etf_pools.csv", kept)
        with (seeds / "corporate_actions.csv").open(encoding="utf-8", newline="") as file:
            actions = list(csv.DictReader(file))
        _write_csv(
            seeds / "corporate_actions.csv", [row for row in actions if row["symbol"] in symbols]
        )

    def reset(self, *, with_database: bool = False) -> None:
        """Put project and raw files back; the database is gone, or that of the healthy build."""
        _synchronise(self._healthy_project, self.project)
        _synchronise(self._healthy_raw, self.raw)
        self.database.unlink(missing_ok=True)
        Path(f"{self.database}.wal").unlink(missing_ok=True)
        (self.folder / "published.duckdb").unlink(missing_ok=True)
        if with_database:
            shutil.copy(self.healthy_database, self.database)

    # -- raw files --

    def path(self, symbol: str) -> Path:
        """Return the fund's raw file."""
        return next((self.raw / "ETF" / "daily").glob(f"{symbol}*.parquet"))

    def funds(self, pool: str | None = None) -> list[str]:
        """Return the funds, or those of a pool, sorted."""
        seed = self.project / "seeds" / "etf_pools.csv"
        with seed.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        return sorted(row["symbol"] for row in rows if pool in (None, row["pool"]))

    def rows(self, symbol: str) -> list[dict]:
        """Return the fund's raw rows."""
        return pq.read_table(self.path(symbol)).to_pylist()

    def write(self, symbol: str, rows: list[dict], **types: pa.DataType) -> None:
        """Write the fund's raw rows anew, with other column types where they are given."""
        path = self.path(symbol)
        schema = pq.read_schema(path)
        for name, type_ in types.items():
            index = schema.get_field_index(name)
            schema = schema.set(index, pa.field(name, type_))
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)

    def edit_row(self, symbol: str, position: int, **values) -> str:
        """Change one raw row of a fund and return its date, YYYY-MM-DD."""
        rows = self.rows(symbol)
        date = _dashed(rows[position]["trade_date"])
        rows[position] |= values
        texts = {
            name: pa.string()
            for name, value in values.items()
            if isinstance(value, str) and name not in ("ts_code", "trade_date")
        }
        for name in texts:
            for row in rows:
                row[name] = None if row[name] is None else str(row[name])
        self.write(symbol, rows, **texts)
        return date

    # -- project --

    def replace(self, file: str, old: str, new: str) -> None:
        """Change a text of a file of the project that must be there."""
        path = self.project / file
        text = path.read_text(encoding="utf-8")
        if old not in text:
            raise AssertionError(f"{file} no longer holds {old!r}")
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    # -- builds --

    def build(self, *arguments: str, command: str = "build", **variables: str) -> Built:
        """Run dbt as a user would and return what came of it."""
        began = time.monotonic()
        done = dbt_project.invoke(
            [command, "--log-level", "none", "--no-write-json", *arguments],
            database=self.database,
            folder=self.folder / "dbt",
            project=self.project,
            variables={"ETF_RAW_ROOT": str(self.raw), **variables},
        )
        results = getattr(done.result, "results", None) or []
        messages = [
            " ".join([f"{result.node.name}:", *(result.message or "").split(), self._rows(result)])
            for result in results
            if result.status in ("error", "fail", "runtime error")
        ]
        if done.exception is not None:
            messages.append(f"{type(done.exception).__name__}: {done.exception}")
        ran = {
            result.node.name for result in results if result.status in ("success", "pass", "warn")
        }
        return Built(
            # As the command line would.
            exit_code=0 if done.success else 1 if done.exception is None else 2,
            errors=messages,
            ran=ran,
            checks=self._checks() if "gate_checks" in ran or command == "test" else [],
            seconds=time.monotonic() - began,
        )

    def _rows(self, result) -> str:
        """Return the first rows that a failed test found, as the end of a build prints them."""
        if result.node.resource_type != "test" or result.status != "fail":
            return ""
        rows = self.query(f"select * from ({result.node.compiled_code}) limit 50")
        return "; ".join(" ".join(str(value) for value in row.values()) for row in rows)

    def _checks(self) -> list[dict]:
        return self.query("select * from gate.gate_checks")

    def query(self, sql: str) -> list[dict]:
        """Return rows of the database."""
        with duckdb.connect(str(self.database), read_only=True) as connection:
            return connection.sql(sql).to_arrow_table().to_pylist()


@dataclass
class Built:
    """What a build came to; `checks` are the rows of gate_checks, if it got that far."""

    exit_code: int
    errors: list[str]
    ran: set[str]
    checks: list[dict]
    seconds: float

    @property
    def is_success(self) -> bool:
        """Whether nothing that blocks was found."""
        return self.exit_code == 0

    def messages(self, check: str, status: str) -> list[str]:
        """Return the messages of a check with a status."""
        return [
            row["message"]
            for row in self.checks
            if row["check_name"] == check and row["status"] == status
        ]


@dataclass
class Fault:
    """A fault, and how it must end.

    Parameters
    ----------
    name : str
        What is wrong.
    outcome : str
        `stopped` before anything is computed, `failed` by the gate, or `warned`.
    caught_by : str
        The check, or the model or test that stops, as a pattern where it is one of several.
    inject : callable
        Takes the workspace, and returns the words that the message must hold.
    besides : tuple of str
        Checks that must fail too, for one follows from the other.
    """

    name: str
    outcome: str
    caught_by: str
    inject: Callable[[Workspace], list[str]]
    besides: tuple[str, ...] = ()


@dataclass
class Group:
    """Faults in different files, funds or models: one build must name each of them.

    Parameters
    ----------
    faults : list of Fault
        What goes into it.
    build : tuple of str
        Arguments of the build.
    after_healthy : bool
        Whether to start from the healthy database and build what the faults concern.
    variables : dict
        Environment of the build; `{folder}` is the workspace's.
    """

    faults: list[Fault]
    build: tuple[str, ...] = ()
    after_healthy: bool = False
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """All that is wrong."""
        return ", ".join(fault.name for fault in self.faults)

    def run(self, workspace: Workspace) -> tuple[Built, list[list[str]]]:
        """Put the faults in and build; return that, and the words wanted for each fault."""
        workspace.reset(with_database=self.after_healthy)
        words = [fault.inject(workspace) for fault in self.faults]
        variables = {
            name: value.format(folder=workspace.folder) for name, value in self.variables.items()
        }
        return workspace.build(*self.build, **variables), words

    def check(self, fault: Fault, built: Built, words: list[str]) -> None:
        """Assert that the build caught a fault as it must be."""
        if fault.outcome == STOPPED:
            found = _stopped_by(fault, built, self.after_healthy)
        else:
            found = self._found_by_the_gate(fault, built)
        text = "\n".join(found)
        for word in words:
            assert word in text, (word, text)

    def _found_by_the_gate(self, fault: Fault, built: Built) -> list[str]:
        failing = [other for other in self.faults if other.outcome == FAILED]
        assert built.exit_code == (1 if failing else 0), built.errors
        expected = {name for one in failing for name in (one.caught_by, *one.besides)}
        others = {row["check_name"] for row in built.checks if row["status"] == "fail"}
        assert others <= expected, others - expected
        for row in built.checks:
            assert not ENGLISH.search(row["message_zh"]), row["message_zh"]
        found = built.messages(fault.caught_by, {FAILED: "fail", WARNED: "warn"}[fault.outcome])
        assert found, [row for row in built.checks if row["status"] != "pass"]
        if fault.outcome == FAILED:
            # As the end of the build shows it.
            (test,) = [line for line in built.errors if line.startswith("assert_no_gate_check_f")]
            assert all(message in test for message in found), (found, test)
        return found


def _stopped_by(fault: Fault, built: Built, after_healthy: bool) -> list[str]:
    assert built.exit_code == 1
    assert "stg_etf_daily" not in built.ran or after_healthy
    assert "gate_checks" not in built.ran
    found = [line for line in built.errors if re.match(f"({fault.caught_by}):", line)]
    assert found, built.errors
    return found


def run(group: Group, workspace: Workspace) -> None:
    """Put faults in, build, and assert that each was caught as it must be."""
    built, words = group.run(workspace)
    for fault, wanted in zip(group.faults, words, strict=True):
        group.check(fault, built, wanted)


def copy_project(source: Path, target: Path) -> None:
    """Copy what dbt needs of the project."""
    target.mkdir(parents=True)
    for name in FOLDERS:
        ignored = shutil.ignore_patterns("__pycache__", "tests/python")
        shutil.copytree(source / name, target / name, ignore=ignored)
    shutil.rmtree(target / "tests" / "python", ignore_errors=True)
    for name in FILES:
        shutil.copy(source / name, target / name)


def _synchronise(source: Path, target: Path) -> None:
    """Make `target` hold the files of `source`; those that are alike are left alone."""
    wanted = {path.relative_to(source) for path in source.rglob("*") if path.is_file()}
    for path in [path for path in target.rglob("*") if path.is_file()]:
        if path.relative_to(target) not in wanted:
            path.unlink()
    for name in wanted:
        old, new = target / name, source / name
        if not old.is_file() or old.read_bytes() != new.read_bytes():
            old.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(new, old)


def _write_csv(path: Path, rows: list[dict]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _dashed(date: str) -> str:
    return f"{date[:4]}-{date[4:6]}-{date[6:8]}"


# -------- faults of a file or a seed, which stop the build before anything is computed


def truncated_file(w: Workspace) -> list[str]:
    path = w.path("510300.SH")
    path.write_bytes(path.read_bytes()[:-200])
    return [f"{path.name}: not a whole parquet file"]


def zero_byte_file(w: Workspace) -> list[str]:
    w.path("510500.SH").write_bytes(b"")
    return [f"{w.path('510500.SH').name}: the file has no bytes"]


def file_without_rows(w: Workspace) -> list[str]:
    w.write("159919.SZ", [])
    return [f"{w.path('159919.SZ').name}: the file has no rows"]


def missing_column(w: Workspace) -> list[str]:
    path = w.path("513100.SH")
    pq.write_table(pq.read_table(path).drop_columns(["amount"]), path)
    return [f"{path.name}: required column amount is missing"]


def column_of_another_type(w: Workspace) -> list[str]:
    rows = [row | {"close": True} for row in w.rows("511010.SH")]
    w.write("511010.SH", rows, close=pa.bool_())
    return [f"{w.path('511010.SH').name}: column close has type bool"]


def broken_page(w: Workspace) -> list[str]:
    path = w.path("510300.SH")
    content = bytearray(path.read_bytes())
    content[4:400] = bytes(396)
    path.write_bytes(bytes(content))
    return [f"{path.name}: unreadable"]


def real_among_synthetic(w: Workspace) -> list[str]:
    path = w.path("510300.SH")
    pq.write_table(pq.read_table(path).replace_schema_metadata({}), path)
    return [path.name, "mixes the synthetic sample"]


def pool_with_no_file(w: Workspace) -> list[str]:
    for symbol in w.funds("QDII"):
        w.path(symbol).unlink()
    return ["pool QDII has no raw row of any of its 5 funds", "159920.SZ"]


def no_file_at_all(w: Workspace) -> list[str]:
    shutil.rmtree(w.raw / "ETF")
    return ["no raw data", "ETF_RAW_ROOT"]


def fund_in_two_pools(w: Workspace) -> list[str]:
    with (w.project / "seeds" / "etf_pools.csv").open("a", encoding="utf-8") as file:
        file.write("510300.SH,QDII,again,broad,equity,true\n")
    return ["510300.SH"]


def category_missing(w: Workspace) -> list[str]:
    path = w.project / "seeds" / "etf_pools.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = [
            row | ({"category": ""} if row["symbol"] == "512880.SH" else {})
            for row in csv.DictReader(file)
        ]
    _write_csv(path, rows)
    return ["512880.SH"]


def unknown_pool_selected(_: Workspace) -> list[str]:
    return ["QDIII"]


def unreadable_dates_everywhere(w: Workspace) -> list[str]:
    for symbol in w.funds()[:-2]:
        w.write(symbol, [row | {"trade_date": row["trade_date"][:4]} for row in w.rows(symbol)])
    return ["raw_rows expect_column_values_to_not_be_null trade_date", w.path(FIRST).name]


def swapped_columns_everywhere(w: Workspace) -> list[str]:
    for symbol in w.funds():
        rows = w.rows(symbol)
        w.write(symbol, [row | {"high": row["low"], "low": row["high"]} for row in rows])
    return ["high, low", w.path(FIRST).name]


def unreadable_published_build(w: Workspace) -> list[str]:
    (w.folder / "published.duckdb").write_text("no database")
    return ["published.duckdb: the file cannot be read", "publish this run in its place"]


# -------- bad rows, quarantined


def bad_row(symbol: str, position: int, reason: str, **values) -> Callable[[Workspace], list[str]]:
    """Return what changes one raw row of a fund."""

    def inject(w: Workspace) -> list[str]:
        date = w.edit_row(symbol, position, **values)
        return [f"{w.path(symbol).name} {values.get('ts_code', '')}", f"{date} ", reason]

    return inject


def bad_date(symbol: str, position: int, reason: str, form: str) -> Callable:
    """Return what gives one raw row of a fund a date that is more than a date."""

    def inject(w: Workspace) -> list[str]:
        date = form.format(w.rows(symbol)[position]["trade_date"])
        w.edit_row(symbol, position, trade_date=date)
        return [w.path(symbol).name, date, reason]

    return inject


def more_row(symbol: str, position: int, reason: str, **changes) -> Callable:
    """Return what adds a copy of a raw row of a fund, changed; a function gets the old value."""

    def inject(w: Workspace) -> list[str]:
        rows = w.rows(symbol)
        row = rows[position]
        new = {name: x(row[name]) if callable(x) else x for name, x in changes.items()}
        w.write(symbol, [*rows, row | new])
        return [f"{w.path(symbol).name} ", f"{_dashed((row | new)['trade_date'])} ", reason]

    return inject


def day_twice(w: Workspace) -> list[str]:
    file, date, _ = more_row("511010.SH", 200, "")(w)
    return [f"{file}201 511010.SH {date}".strip()]


def repeated_key(w: Workspace) -> list[str]:
    return [
        "raw_rows source_file, raw_symbol, trade_date",
        w.path("511260.SH").name,
        "Data Docs",
    ]


def rows_without_symbol(w: Workspace) -> list[str]:
    path = w.path("512400.SH")
    rows = [row | {"ts_code": None} for row in w.rows("512400.SH")[:3]]
    table = pa.Table.from_pylist(rows, schema=pq.read_schema(path))
    pq.write_table(table, path.with_name("update.parquet"))
    return ["raw_rows raw_symbol expect_column_values_to_not_be_null", "update.parquet"]


def two_files_for_one_fund(w: Workspace) -> list[str]:
    """One row of the second file is as in the first, another is not."""
    first = w.path("513100.SH")
    second = first.with_name("513100_again.parquet")
    alike, changed = w.rows("513100.SH")[100], w.rows("513100.SH")[130]
    rows = [alike, changed | {"close": changed["close"] + 0.001}]
    pq.write_table(pa.Table.from_pylist(rows, schema=pq.read_schema(first)), second)
    return [f"{first.name} and {second.name}; rows that are there twice: 1"]


def row_that_differs_in_a_second_file(w: Workspace) -> list[str]:
    first = w.path("513100.SH")
    date = _dashed(w.rows("513100.SH")[130]["trade_date"])
    return [
        f"{first.name} {date} row 131: conflicting_duplicate",
        f"513100_again.parquet 513100.SH {date} row 2: conflicting_duplicate",
    ]


def session_file_of_another_day(w: Workspace) -> list[str]:
    rows = w.rows("511010.SH")[150:152]
    path = w.path("511010.SH").with_name(f"{rows[0]['trade_date']}.parquet")
    pq.write_table(pa.Table.from_pylist(rows, schema=pq.read_schema(w.path("511010.SH"))), path)
    return [path.name, _dashed(rows[1]["trade_date"]), "row 2: date_unlike_file"]


# -------- faults of the data, failed by the gate


def whole_file_of_another_fund(w: Workspace) -> list[str]:
    w.write("510500.SH", [row | {"ts_code": "510501.SH"} for row in w.rows("510500.SH")])
    return [w.path("510500.SH").name, "symbol_unlike_file", "510501.SH", "2022-06-30"]


def shares_instead_of_lots(w: Workspace) -> list[str]:
    w.write("510300.SH", [_scaled(row, vol=100) for row in w.rows("510300.SH")])
    return [w.path("510300.SH").name, "2022-06-30", "raw_volume_unit"]


def yuan_instead_of_thousand(w: Workspace) -> list[str]:
    w.write("513100.SH", [_scaled(row, amount=1000) for row in w.rows("513100.SH")])
    return [w.path("513100.SH").name, "2022-06-30", "raw_amount_unit"]


def units_changed_last_year(w: Workspace) -> list[str]:
    rows = w.rows("511010.SH")
    w.write("511010.SH", rows[:-150] + [_scaled(row, amount=1000) for row in rows[-150:]])
    return [w.path("511010.SH").name, "2022-06-30", "over 250 bars, 1.0"]


def yuan_on_one_bar(w: Workspace) -> list[str]:
    date = w.edit_row("159920.SZ", 222, amount=w.rows("159920.SZ")[222]["amount"] * 1000)
    return [w.path("159920.SZ").name, f"bars: 1, to {date}; on {date} amount is "]


def prices_of_another_basis(w: Workspace) -> list[str]:
    rows = w.rows("513050.SH")
    w.write("513050.SH", [_scaled(row, **dict.fromkeys(PRICES, 1.008)) for row in rows])
    return [w.path("513050.SH").name, "adjustments: 250 in the 250 bars", "the previous close is"]


def factor_beyond_its_bounds(w: Workspace) -> list[str]:
    rows = w.rows("511380.SH")
    factors = [1.0] * (len(rows) - 9) + [20_000.0] * 9
    dated = [row | {"adj_factor": factor} for row, factor in zip(rows, factors, strict=True)]
    _with_column(w, "511380.SH", dated, "adj_factor")
    date = _dashed(rows[-9]["trade_date"])
    return [w.path("511380.SH").name, f"adj is out of 1e-4 to 1e4 from {date}"]


def adjusted_prices(w: Workspace) -> list[str]:
    rows = w.rows("512100.SH")
    adjusted = dict.fromkeys((*PRICES, "pre_close"), 1.5)
    w.write("512100.SH", rows[:120] + [_scaled(row, **adjusted) for row in rows[120:240]])
    return [w.path("512100.SH").name, "is 0.6667 over the 60 bars", "the price paid is"]


def adjustment_that_pre_close_does_not_know(w: Workspace) -> list[str]:
    dates = _with_steps(w, "511260.SH", w.rows("511260.SH"), {200: 1.5})
    return [w.path("511260.SH").name, f"disagree: 1, to {dates[0]}; their ratios are 1.5 and 1 on"]


def adjustments_that_pre_close_does_not_know(w: Workspace) -> list[str]:
    dates = _with_steps(
        w, "512000.SH", w.rows("512000.SH"), dict.fromkeys((200, 220, 240, 260), 1.02)
    )
    return [w.path("512000.SH").name, f"disagree: 4, to {dates[3]}", f"1.02 and 1 on {dates[0]}"]


def adjustments_to_look_at(w: Workspace) -> list[str]:
    dates = _with_steps(w, "159949.SZ", w.rows("159949.SZ"), {200: 1.02, 220: 0.98})
    return [w.path("159949.SZ").name, f"1.02 and 1 on {dates[0]}, 0.98 and 1 on {dates[1]}"]


def factor_that_starts_late(w: Workspace) -> list[str]:
    rows = [row | {"adj_factor": 1.0} for row in w.rows("510050.SH")]
    rows[0]["adj_factor"] = None
    _with_column(w, "510050.SH", rows, "adj_factor")
    first, second = (_dashed(row["trade_date"]) for row in rows[:2])
    said = f"row 1: adj_factor is null on the first bar and begins on {second}; bars to fill: 1"
    return [f"{w.path('510050.SH').name} {first} {said}"]


def _with_steps(w: Workspace, symbol: str, rows: list[dict], steps: dict[int, float]) -> list[str]:
    """Give a fund an adj_factor with these ratios at these rows, and return the rows' dates."""
    factor, dated = 1.0, []
    for position, row in enumerate(rows):
        factor *= steps.get(position, 1.0)
        dated.append(row | {"adj_factor": factor})
    _with_column(w, symbol, dated, "adj_factor")
    return [_dashed(rows[position]["trade_date"]) for position in steps]


def _with_column(w: Workspace, symbol: str, rows: list[dict], name: str) -> None:
    path = w.path(symbol)
    schema = pq.read_schema(path).append(pa.field(name, pa.float64()))
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)


def unadjusted_split(w: Workspace) -> list[str]:
    rows = w.rows("159919.SZ")
    halved = dict.fromkeys((*PRICES, "pre_close"), 0.5)
    split = [_scaled(row, vol=2, **halved) for row in rows[250:]]
    split[0]["pre_close"] *= 2
    w.write("159919.SZ", rows[:250] + split)
    return [w.path("159919.SZ").name, _dashed(rows[250]["trade_date"]), "corporate_actions"]


def frozen_fund(w: Workspace) -> list[str]:
    rows = _frozen(w.rows("512880.SH"), 300, 25)
    w.write("512880.SH", rows)
    return [w.path("512880.SH").name, _dashed(rows[300]["trade_date"]), "25 bars"]


def late_vendor(w: Workspace) -> list[str]:
    for symbol in ("513500.SH", "513660.SH"):
        w.write(symbol, w.rows(symbol)[:-1])
    return [w.path("513500.SH").name, w.path("513660.SH").name, "2022-06-30"]


def day_missing_for_all(w: Workspace) -> list[str]:
    for symbol in w.funds():
        w.write(symbol, [row for row in w.rows(symbol) if row["trade_date"] != "20220415"])
    return ["2022-04-15", "no fund of the pool has a row"]


def pool_of_suspensions(w: Workspace) -> list[str]:
    for symbol in w.funds("OTHER"):
        w.write(symbol, [row | {"vol": 0.0, "amount": 0.0} for row in w.rows(symbol)])
    return ["0 is below 0.7"]


def stale_data(w: Workspace) -> list[str]:
    (w.raw / "SYNTHETIC").unlink()
    for path in sorted((w.raw / "ETF" / "daily").glob("*.parquet")):
        pq.write_table(pq.read_table(path).replace_schema_metadata({}), path)
    return ["2022-06-30 is the last bar"]


def _scaled(row: dict, **factors: float) -> dict:
    return row | {
        name: None if row[name] is None else row[name] * factor for name, factor in factors.items()
    }


def _frozen(rows: list[dict], start: int, length: int) -> list[dict]:
    prices = {name: rows[start][name] for name in PRICES}
    still = [
        row | prices | ({"pre_close": prices["close"]} if position else {})
        for position, row in enumerate(rows[start : start + length])
    ]
    rows = rows[:start] + still + rows[start + length :]
    # The market goes on where the fund stood still, so that only the standing still is odd.
    rows[start + length]["pre_close"] = prices["close"]
    move = rows[start + length]["close"] / prices["close"]
    for row in rows[start + length :]:
        for name in (*PRICES, "pre_close"):
            row[name] = round(row[name] / move, 3)
        row["vol"] *= move
    rows[start + length]["pre_close"] = prices["close"]
    return rows


# -------- faults of the data, warned of


def stale_prices(w: Workspace) -> list[str]:
    rows = _frozen(w.rows("510300.SH"), 300, 12)
    w.write("510300.SH", rows)
    return [w.path("510300.SH").name, _dashed(rows[300]["trade_date"]), "12 bars"]


def day_missing_for_one_fund(w: Workspace) -> list[str]:
    rows = w.rows("510500.SH")
    w.write("510500.SH", rows[:150] + rows[151:])
    return [w.path("510500.SH").name, _dashed(rows[150]["trade_date"])]


def adjustment_after_gap(w: Workspace) -> list[str]:
    rows = w.rows("159919.SZ")
    w.write("159919.SZ", rows[:200] + [_scaled(rows[201], pre_close=1 / 1.01)] + rows[202:])
    return [w.path("159919.SZ").name, _dashed(rows[201]["trade_date"]), "ratio"]


def large_adjustment(w: Workspace) -> list[str]:
    rows = w.rows("159922.SZ")
    halved = dict.fromkeys((*PRICES, "pre_close"), 0.5)
    w.write("159922.SZ", rows[:220] + [_scaled(row, vol=2, **halved) for row in rows[220:]])
    return [w.path("159922.SZ").name, _dashed(rows[220]["trade_date"]), "ratio 2.0"]


def pre_close_missing(w: Workspace) -> list[str]:
    date = w.edit_row("512880.SH", 100, pre_close=None)
    return [w.path("512880.SH").name, date]


def move_beyond_limit(w: Workspace) -> list[str]:
    rows = w.rows("513500.SH")
    rows[150] = _scaled(rows[150], **dict.fromkeys(PRICES, 1.15))
    w.write("513500.SH", rows)
    return [w.path("513500.SH").name, _dashed(rows[150]["trade_date"]), "10%"]


def late_file(w: Workspace) -> list[str]:
    w.write("510050.SH", w.rows("510050.SH")[:-1])
    return [w.path("510050.SH").name, "2022-06-30"]


def fund_without_file(w: Workspace) -> list[str]:
    w.path("511380.SH").unlink()
    return ["511380.SH"]


def fund_without_volume(w: Workspace) -> list[str]:
    w.write("512100.SH", [row | {"vol": None} for row in w.rows("512100.SH")])
    return [w.path("512100.SH").name, "no bar: every row is in suspensions"]


def fund_that_ended(w: Workspace) -> list[str]:
    rows = w.rows("512000.SH")[:-60]
    w.write("512000.SH", rows)
    return [
        w.path("512000.SH").name,
        f"{_dashed(rows[-1]['trade_date'])} is the last row, 60 sessions before the last",
        "1 is above 0",
    ]


def holding_that_does_not_trade(w: Workspace) -> list[str]:
    held = w.query(
        "select max(symbol) as symbol from backtest.positions_daily where trade_date = "
        "(select max(trade_date) from backtest.positions_daily) and strategy = 'rotation' "
        # The other faults of the group have these.
        "and symbol not in ('510300.SH', '510500.SH', '159919.SZ', '159922.SZ', '512880.SH', "
        "'513500.SH', '510050.SH', '511380.SH', '512100.SH', '511010.SH', '512000.SH')"
    )
    symbol = held[0]["symbol"]
    rows = w.rows(symbol)
    w.write(symbol, rows[:-65] + [row | {"vol": 0.0, "amount": 0.0} for row in rows[-65:]])
    return [w.path(symbol).name, _dashed(rows[-66]["trade_date"]), "65 sessions ago"]


def fund_in_no_pool(w: Workspace) -> list[str]:
    return [stranger(w).name, "1 is above 0"]


def stranger(w: Workspace) -> Path:
    """Add a fund that is in no pool, and return its file."""
    path = w.raw / "ETF" / "daily" / f"{STRANGER}_daily.parquet"
    rows = [row | {"ts_code": STRANGER} for row in w.rows("510050.SH")]
    schema = pq.read_schema(w.path("510050.SH"))
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)
    return path


def stranger_of_another_basis(w: Workspace) -> list[str]:
    """The pool is there for research: no finding of it fails, and none stops a model."""
    other = "588887.SH"
    path = w.path("510050.SH").with_name(f"{other}_daily.parquet")
    rows = [
        _scaled(row, **dict.fromkeys(PRICES, 1.2671)) | {"ts_code": other}
        for row in w.rows("510050.SH")
    ]
    schema = pq.read_schema(w.path("510050.SH"))
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)
    return [path.name, "adj is out of 1e-4 to 1e4 from"]


def stranger_in_shares(w: Workspace) -> list[str]:
    path = stranger(w)
    w.write(STRANGER, [_scaled(row, vol=100) for row in w.rows(STRANGER)])
    return [path.name, "2022-06-30", "100 is above 2"]


def action_without_bar(w: Workspace) -> list[str]:
    with (w.project / "seeds" / "corporate_actions.csv").open("a", encoding="utf-8") as file:
        file.write("511010.SH,2022-05-03,2,a holiday\n")
    return ["511010.SH", "2022-05-03", "corporate_actions.csv"]


def action_beside_adj_factor(w: Workspace) -> list[str]:
    symbol = w.funds("QDII")[-1]
    path = w.path(symbol)
    table = pq.read_table(path)
    date = _dashed(table["trade_date"][100].as_py())
    ones = pa.array([1.0] * table.num_rows)
    pq.write_table(table.drop_columns(["pre_close"]).append_column("adj_factor", ones), path)
    with (w.project / "seeds" / "corporate_actions.csv").open("a", encoding="utf-8") as file:
        file.write(f"{symbol},{date},2,the file has a factor of its own\n")
    return [symbol, date, "adjusted by its adj_factor, 1.0000"]


# -------- faults of seeds and code


def edited(file: str, old: str, new: str, *words: str) -> Callable[[Workspace], list[str]]:
    """Return what changes a text of the project."""

    def inject(w: Workspace) -> list[str]:
        w.replace(file, old, new)
        return list(words)

    return inject


def large_capital(w: Workspace) -> list[str]:
    w.replace("seeds/pool_constraints.csv", "QDII,3000000", "QDII,2000000000")
    return ["limit 0.03", "513"]


def cap_that_does_not_hold(w: Workspace) -> list[str]:
    words = large_capital(w)
    doubled = "    2 * target_weight as target_weight,\n"
    w.replace("models/backtest/results/rebalances.sql", "    target_weight,\n", doubled)
    return words


def metric(column: str, formula: str, value: float, *words: str) -> Callable:
    """Return what makes the metric of every pool a number."""
    return edited(
        "models/backtest/results/metrics.sql",
        f"    {formula}{',' if formula.endswith(column) else f' as {column},'}\n",
        f"    {value}::double as {column},\n",
        *words,
        "2022-06-30 is the last session",
    )


def with_vars(*words: str) -> Callable[[Workspace], list[str]]:
    """Return what changes nothing, where the vars of the build do."""
    return lambda _: list(words)


def threshold_missing(w: Workspace) -> list[str]:
    _drop_line(w.project / "seeds" / "gate_thresholds.csv", "unit_sanity,")
    return ["seed gate_thresholds has no row"]


def panel(rows: str, *words: str) -> Callable[[Workspace], list[str]]:
    """Return what makes the panel of other rows: a query over `{lagged}`."""
    lagged = "{{ ref('int_factors__lagged') }}"
    other = f"\nfrom ({rows})".replace("{lagged}", lagged)
    return edited("models/signals/factor_panel.sql", f"\nfrom {lagged}", other, *words)


def moved(factor: str, how: str) -> Callable[[Workspace], list[str]]:
    """Return what moves a factor of the panel by one more row."""
    value = f"{how}({factor}) over (partition by symbol order by trade_date) as {factor}"
    words = (f"{factor} differs on", FIRST, "2020-12-")
    rows = f"select * replace ({value})\nfrom {{lagged}} order by symbol, trade_date"
    return panel(rows, *words)


def coverage_dropped(w: Workspace) -> list[str]:
    _publish(w, "update signals.factor_summary set coverage = coverage + 0.11 where pool = 'QDII'")
    return ["in the published build"]


def metrics_changed(w: Workspace) -> list[str]:
    _publish(
        w,
        "update marts.pool_metrics_summary set annual_return = annual_return + 0.5 "
        "where pool = 'QDII'",
    )
    return ["annual_return", ", was "]


def _publish(w: Workspace, change: str) -> None:
    path = w.folder / "published.duckdb"
    if not path.exists():
        shutil.copy(w.healthy_database, path)
    with duckdb.connect(str(path)) as connection:
        connection.execute(change)


def _drop_line(path: Path, start: str) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if not line.startswith(start)]
    assert len(kept) == len(lines) - 1
    path.write_text("\n".join(kept) + "\n", encoding="utf-8")


PUBLISHED = {"ETF_PUBLISHED_DATABASE": "{folder}/published.duckdb"}


def gate_after(*models: str, extra: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return the arguments of a build of some models and of the gate, with the gate's tests only.

    The rest is that of the healthy build: of no concern to what must catch the fault.
    """
    names = ("int_gate_observations", "gate_violations", "gate_checks", "int_gate_checks__built")
    tests = ("assert_no_gate_check_fails", "assert_no_gate_check_warns")
    return ("--select", *models, *names, *tests, "--indirect-selection", "empty", *extra)


STAGING = gate_after("path:models/staging", "assert_raw_expectations_hold")
FAR = f"{dt.date.today() + dt.timedelta(days=400):%Y%m%d}"

BAD_ROWS = Group(
    [
        Fault(
            "text in a price",
            WARNED,
            "quarantine_share",
            bad_row("510300.SH", 50, "unparseable_close", close="n/a"),
        ),
        Fault(
            "NaN",
            WARNED,
            "quarantine_share",
            bad_row("510500.SH", 60, "not_finite_high", high=float("nan")),
        ),
        Fault(
            "infinity",
            WARNED,
            "quarantine_share",
            bad_row("159919.SZ", 70, "not_finite_amount", amount=float("inf")),
        ),
        Fault(
            "a negative price",
            WARNED,
            "quarantine_share",
            bad_row("159922.SZ", 80, "non_positive_low", low=-1.0),
        ),
        Fault(
            "high below low",
            WARNED,
            "quarantine_share",
            bad_row("512880.SH", 90, "high_below_others", high=0.001),
        ),
        Fault(
            "the wrong symbol in a file",
            WARNED,
            "quarantine_share",
            bad_row("513050.SH", 120, "symbol_unlike_file", ts_code="513051.SH"),
        ),
        Fault(
            "a time of day in trade_date",
            WARNED,
            "quarantine_share",
            bad_date("513500.SH", 100, "time_of_day", "{} 09:30:00"),
        ),
        Fault(
            "a time zone in trade_date",
            WARNED,
            "quarantine_share",
            bad_date("512010.SH", 110, "time_zone", "{}T00:00:00Z"),
        ),
        Fault(
            "a date in the future",
            WARNED,
            "quarantine_share",
            more_row("159920.SZ", -1, "future_date", trade_date=FAR),
        ),
        Fault(
            "a day twice, alike",
            WARNED,
            "expectations_raw",
            day_twice,
        ),
        Fault(
            "a day twice, with different values",
            WARNED,
            "quarantine_share",
            more_row("511260.SH", 210, "conflicting_duplicate", close=lambda x: x + 0.001),
        ),
        Fault(
            "a bar on a holiday",
            WARNED,
            "quarantine_share",
            more_row("511380.SH", -1, "not_a_session", trade_date="20220502"),
        ),
        Fault("rows without a symbol", WARNED, "expectations_raw", rows_without_symbol),
        Fault("two files for one fund", WARNED, "several_files", two_files_for_one_fund),
        Fault(
            "two files that differ on a session",
            WARNED,
            "quarantine_share",
            row_that_differs_in_a_second_file,
        ),
        Fault(
            "a session's file with another day",
            WARNED,
            "quarantine_share",
            session_file_of_another_day,
        ),
        Fault("rows with the same key", WARNED, "expectations_raw", repeated_key),
    ],
)

GROUPS = [
    Group(
        [
            Fault("truncated parquet", STOPPED, "raw_files", truncated_file),
            Fault("zero-byte parquet", STOPPED, "raw_files", zero_byte_file),
            Fault("parquet without rows", STOPPED, "raw_files", file_without_rows),
            Fault("missing column", STOPPED, "raw_files", missing_column),
            Fault("column of another type", STOPPED, "raw_files", column_of_another_type),
        ]
    ),
    Group([Fault("broken page in a parquet", STOPPED, "raw_rows", broken_page)]),
    Group([Fault("real data among synthetic", STOPPED, "raw_files", real_among_synthetic)]),
    Group([Fault("a pool with no file", STOPPED, "raw_rows", pool_with_no_file)]),
    Group([Fault("no file at all", STOPPED, "raw_files", no_file_at_all)]),
    Group(
        [
            Fault(
                "a fund listed in two pools",
                STOPPED,
                "raw_files|primary_key_etf_pools_symbol",
                fund_in_two_pools,
            ),
        ]
    ),
    Group(
        [
            Fault(
                "a category missing",
                STOPPED,
                "raw_files|has_no_nulls_etf_pools.*",
                category_missing,
            ),
        ]
    ),
    Group(
        [
            Fault(
                "a pool without constraints",
                STOPPED,
                "raw_files|relationships_etf_pools.*",
                edited("seeds/pool_constraints.csv", "QDII,", "QDI,", "QDII"),
            ),
        ]
    ),
    Group(
        [
            Fault(
                "portfolio weights beyond 1",
                STOPPED,
                "raw_files",
                edited(
                    "seeds/pool_constraints.csv",
                    "QDII,3000000,0.3",
                    "QDII,3000000,0.4",
                    "1.1",
                    "portfolio_weight",
                ),
            ),
        ]
    ),
    Group(
        [
            Fault(
                "a share ratio of zero",
                STOPPED,
                "is_positive_corporate_actions_share_ratio",
                edited(
                    "seeds/corporate_actions.csv",
                    "513100.SH,2022-01-14,5,",
                    "513100.SH,2022-01-14,0,",
                ),
            ),
        ]
    ),
    Group(
        [
            Fault(
                "a date of tomorrow",
                WARNED,
                "quarantine_share",
                more_row("159920.SZ", -1, "future_date", trade_date="20220707"),
            ),
            Fault(
                "a volume that no exchange reports",
                WARNED,
                "quarantine_share",
                bad_row("512000.SH", 45, "out_of_range_vol", vol=1e18),
            ),
            Fault(
                "a previous close that no session leaves",
                WARNED,
                "quarantine_share",
                bad_row("512100.SH", 45, "out_of_range_pre_close", pre_close=9_999_999_999.0),
            ),
        ],
        gate_after("run_settings", "path:models/staging", extra=("--vars", "{today: 2022-06-30}")),
        after_healthy=True,
    ),
    Group(
        [
            Fault(
                "a portfolio weight below zero",
                STOPPED,
                "raw_files",
                edited(
                    "seeds/pool_constraints.csv",
                    "QDII,3000000,0.3",
                    "QDII,3000000,-0.3",
                    "QDII is below zero",
                ),
            ),
        ]
    ),
    Group(
        [Fault("a clock behind the data", STOPPED, "exchange_sessions", with_vars("2000-01-01"))],
        ("--vars", "{today: 2000-01-01}"),
    ),
    Group(
        [Fault("an unknown pool selected", STOPPED, "raw_files", unknown_pool_selected)],
        variables={"ETF_POOLS": "QDIII"},
    ),
    Group(
        [
            Fault(
                "most dates unreadable",
                STOPPED,
                "assert_raw_expectations_hold",
                unreadable_dates_everywhere,
            ),
            Fault(
                "high and low swapped",
                STOPPED,
                "assert_raw_expectations_hold",
                swapped_columns_everywhere,
            ),
        ]
    ),
    Group(
        [
            Fault(
                "an unknown factor id in the catalog",
                STOPPED,
                "int_factor_summary__statistics",
                edited("seeds/factor_catalog.csv", "\nsma_10,", "\nsma_11,", "sma_11", "sma_10"),
            ),
        ],
        ("--select", "factor_catalog", "factor_panel+", "--indirect-selection", "empty"),
        after_healthy=True,
    ),
    Group(
        [
            Fault(
                "an unreadable published build",
                WARNED,
                "published_build",
                unreadable_published_build,
            ),
        ],
        gate_after("run_settings", "int_published_build"),
        after_healthy=True,
        variables=PUBLISHED,
    ),
    BAD_ROWS,
    Group(
        [
            Fault(
                "a whole file of another fund",
                FAILED,
                "quarantine_share",
                whole_file_of_another_fund,
            ),
            Fault(
                "shares instead of lots",
                FAILED,
                "unit_sanity",
                shares_instead_of_lots,
                besides=("unit_bars", "price_basis"),
            ),
            Fault("yuan instead of thousand", FAILED, "unit_sanity", yuan_instead_of_thousand),
            Fault("units changed last year", FAILED, "unit_sanity", units_changed_last_year),
            Fault("an unadjusted split", FAILED, "unexplained_move", unadjusted_split),
            Fault("yuan on one bar", FAILED, "unit_bars", yuan_on_one_bar),
            Fault("adjusted prices", FAILED, "price_basis", adjusted_prices),
            Fault(
                "prices and pre_close on two bases",
                FAILED,
                "adjustment_count",
                prices_of_another_basis,
            ),
            Fault("a frozen fund", FAILED, "stale_prices", frozen_fund),
            Fault("a late vendor", FAILED, "no_row_last_session", late_vendor),
            Fault("a day missing for all", FAILED, "missing_session", day_missing_for_all),
        ],
        STAGING,
        after_healthy=True,
    ),
    Group(
        [
            Fault(
                "an adjustment factor out of bounds",
                FAILED,
                "adjustment_count",
                factor_beyond_its_bounds,
                besides=("unexplained_move",),
            ),
            Fault(
                "a split that one source does not know",
                FAILED,
                "adjustment_sources",
                adjustment_that_pre_close_does_not_know,
            ),
            Fault(
                "dividends that one source does not know",
                FAILED,
                "adjustment_sources",
                adjustments_that_pre_close_does_not_know,
            ),
            Fault("a factor that starts late", FAILED, "late_source", factor_that_starts_late),
        ],
        STAGING,
        after_healthy=True,
    ),
    Group(
        [
            Fault(
                "a pool that never trades",
                FAILED,
                "factor_coverage",
                pool_of_suspensions,
                besides=("production_factors",),
            ),
        ]
    ),
    Group(
        [Fault("old data in production", FAILED, "freshness", stale_data)],
        gate_after("run_settings", "raw_files", extra=("--target", "prod")),
        after_healthy=True,
    ),
    Group(
        [Fault("old data elsewhere", WARNED, "freshness", stale_data)],
        gate_after("run_settings", "raw_files"),
        after_healthy=True,
    ),
    Group(
        [
            Fault("a fund of no pool in shares", WARNED, "unit_sanity", stranger_in_shares),
            Fault(
                "a fund of no pool on two bases",
                WARNED,
                "adjustment_count",
                stranger_of_another_basis,
            ),
            Fault(
                "a research pool without a panel",
                WARNED,
                "factor_coverage",
                with_vars("0 is below 0.7"),
            ),
        ],
        gate_after("path:models/staging", "gate_index", extra=("--vars", "{universe: all}")),
        after_healthy=True,
    ),
    Group(
        [
            Fault("stale prices", WARNED, "stale_prices", stale_prices),
            Fault("a day missing for one fund", WARNED, "no_row", day_missing_for_one_fund),
            Fault(
                "an adjustment after a gap", WARNED, "adjustment_after_gap", adjustment_after_gap
            ),
            Fault("an adjustment of half the price", WARNED, "large_adjustment", large_adjustment),
            Fault(
                "two dividends that one source does not know",
                WARNED,
                "adjustment_sources",
                adjustments_to_look_at,
            ),
            Fault("a bar without pre_close", WARNED, "pre_close_missing", pre_close_missing),
            Fault("a move beyond the price limit", WARNED, "move_beyond_limit", move_beyond_limit),
            Fault("one late file", WARNED, "no_row_last_session", late_file),
            Fault("a fund without a file", WARNED, "fund_without_file", fund_without_file),
            Fault("a fund without any volume", WARNED, "fund_without_file", fund_without_volume),
            Fault("a fund in no pool", WARNED, "funds_in_no_pool", fund_in_no_pool),
            Fault("a fund that ended", WARNED, "fund_ended", fund_that_ended),
            Fault(
                "a holding that does not trade",
                WARNED,
                "holding_without_bar",
                holding_that_does_not_trade,
            ),
            Fault(
                "a corporate action on a holiday",
                WARNED,
                "corporate_action_without_bar",
                action_without_bar,
            ),
            Fault(
                "a corporate action of a fund with adj_factor",
                WARNED,
                "corporate_action_without_bar",
                action_beside_adj_factor,
            ),
        ],
        gate_after("corporate_actions", "path:models/staging"),
        after_healthy=True,
    ),
    Group(
        [
            Fault("a threshold missing", FAILED, "unit_sanity", threshold_missing),
            Fault(
                "a threshold emptied",
                FAILED,
                "stale_prices",
                edited(
                    "seeds/gate_thresholds.csv",
                    "stale_prices,pool,worst,at_least,10,20",
                    "stale_prices,pool,worst,at_least,10,",
                    "not complete",
                ),
            ),
            Fault(
                "a limit that is no number",
                FAILED,
                "quarantine_share",
                edited(
                    "seeds/gate_thresholds.csv",
                    "quarantine_share,pool,sum,above,0,0.01",
                    "quarantine_share,pool,sum,above,0,nan",
                    "not complete",
                ),
            ),
            Fault(
                "a check removed",
                FAILED,
                "unexplained_move",
                edited(
                    "models/gate/int_gate_observations.sql",
                    "'price_moves', ",
                    "",
                    "no model of models/gate computes this check",
                ),
                besides=("move_beyond_limit",),
            ),
            Fault(
                "signals that read the prices of fills",
                FAILED,
                "lag_static",
                edited(
                    "models/signals/selection_log.sql",
                    "select\n",
                    "-- depends_on: {{ ref('int_backtest__bars') }}\nselect\n",
                    "models/signals/selection_log.sql",
                    "int_backtest__bars -> selection_log",
                ),
            ),
            Fault(
                "signals that were put into the group unlagged",
                FAILED,
                "lag_static",
                edited(
                    "models/signals/scores.sql",
                    "with\n",
                    "{{ config(group='unlagged') }}\n-- depends_on: {{ ref('int_bars') }}\nwith\n",
                    "models/signals/scores.sql",
                    "int_bars -> scores",
                ),
            ),
            Fault(
                "signals that read them by name",
                FAILED,
                "lag_static",
                edited(
                    "models/signals/target_weights.sql",
                    "order by",
                    "where exists (select 1 from factors.int_bars)\norder by",
                    "models/signals/target_weights.sql",
                    "factors.int_bars -> target_weights",
                ),
            ),
            Fault(
                "signals that read them in Python",
                FAILED,
                "lag_static",
                edited(
                    "models/signals/int_selection.py",
                    "    dbt.config(",
                    '    session.table("factors.int_bars")\n    dbt.config(',
                    "models/signals/int_selection.py factors.int_bars -> int_selection",
                ),
            ),
        ],
        gate_after("gate_thresholds", "gate_index"),
        after_healthy=True,
    ),
    Group(
        [
            Fault("a factor lagged twice", FAILED, "lag_dynamic", moved("ret_20", "lag")),
            Fault("a factor not lagged", FAILED, "lag_dynamic", moved("ret_60", "lead")),
            Fault(
                "a panel row lost",
                FAILED,
                "lag_dynamic",
                panel(
                    "select *\nfrom {lagged} "
                    "where symbol <> '510300.SH' or trade_date <> '2022-03-15'",
                    "row keys differs on 1 rows",
                    "510300.SH",
                    "2022-03-15",
                ),
            ),
        ],
        gate_after("factor_panel", "int_lag__differences"),
        after_healthy=True,
    ),
    Group(
        [
            Fault(
                "the panel not sorted",
                FAILED,
                "panel_index",
                panel(
                    "from {lagged} order by trade_date, symbol", "not sorted", FIRST, "2022-07-01"
                ),
            ),
        ],
        gate_after("factor_panel", "int_lag__differences"),
        after_healthy=True,
    ),
    Group(
        [
            Fault(
                "panel rows twice",
                FAILED,
                "panel_index",
                panel(
                    "from {lagged} union all from {lagged} order by symbol, trade_date",
                    "key twice",
                    FIRST,
                    "2022-07-01",
                ),
                besides=("lag_dynamic",),
            ),
        ],
        gate_after("factor_panel", "int_lag__differences"),
        after_healthy=True,
    ),
    Group(
        [
            Fault(
                "an ADV cap that does not hold",
                FAILED,
                "adv_share",
                cap_that_does_not_hold,
            ),
        ],
        gate_after(
            "pool_constraints", "int_strategies", "path:models/backtest", "path:models/capacity"
        ),
        after_healthy=True,
    ),
    Group(
        [
            Fault(
                "more than the market trades, which nobody enforces",
                WARNED,
                "adv_share",
                large_capital,
            ),
        ],
        gate_after(
            "pool_constraints",
            "int_strategies",
            "path:models/backtest",
            "path:models/capacity",
            extra=("--vars", "{enforce_adv: false}"),
        ),
        after_healthy=True,
    ),
    Group(
        [
            Fault(
                "a weight beyond its limit",
                FAILED,
                "single_weight",
                edited(
                    "models/signals/target_weights.sql",
                    "    selected.target_weight,\n",
                    "    2 * selected.target_weight as target_weight,\n",
                    "limit 0.25",
                    "0.4",
                ),
                besides=("sector_weight",),
            ),
            Fault(
                "a sector beyond its limit",
                FAILED,
                "sector_weight",
                edited(
                    "seeds/pool_constraints.csv",
                    "0.30,0.50",
                    "0.30,0.20",
                    "china_internet 0.6, limit 0.2",
                ),
            ),
            Fault(
                "too many broad funds",
                FAILED,
                "broad_funds",
                edited("seeds/pool_constraints.csv", "0.25,0.40,3", "0.25,0.40,0", "limit 0"),
            ),
            Fault(
                "a holding grown beyond its limit",
                WARNED,
                "realised_weight",
                edited(
                    "models/backtest/results/positions_daily.sql",
                    "/ sessions.equity as weight",
                    "/ sessions.equity * 2 as weight",
                    "2022-06-30",
                ),
            ),
            Fault(
                "positions of negative shares",
                FAILED,
                "expectations_published",
                edited(
                    "models/backtest/results/positions_daily.sql",
                    "    ledger.shares,\n",
                    "    -ledger.shares as shares,\n",
                    "positions_daily shares expect_column_values_to_be_between",
                    "rows, such as",
                ),
            ),
            Fault(
                "metadata lost",
                FAILED,
                "metadata_complete",
                edited(
                    "models/gate/run_metadata.sql",
                    "    run.input_fingerprint,\n",
                    "    cast(null as varchar) as input_fingerprint,\n",
                    "no input_fingerprint",
                ),
            ),
            Fault(
                "constant factors",
                FAILED,
                "zero_variance_factors",
                edited(
                    "models/signals/factor_summary.sql",
                    "        statistics.zero_variance,\n",
                    "        starts_with(catalog.factor_id, 'rsi') as zero_variance,\n",
                    "rsi_14",
                    "16 is above 10",
                ),
            ),
            Fault(
                "too few production factors",
                FAILED,
                "production_factors",
                with_vars("0 is below 8", "factor_summary"),
            ),
            Fault(
                "a month too good to be true",
                FAILED,
                "largest_month",
                edited(
                    "models/backtest/results/monthly_returns.sql",
                    "- 1 as monthly_return",
                    "- 0.6 as monthly_return",
                    "is above 0.3",
                    "is the month",
                ),
            ),
            Fault(
                "volatility that asks for scaling",
                FAILED,
                "volatility_scaling",
                metric(
                    "annual_volatility",
                    "annualized.root_year * annualized.sd_r",
                    0.5,
                    "0.4 is below 0.6",
                ),
            ),
            Fault(
                "a weak return, where it blocks",
                FAILED,
                "annual_return",
                metric("annual_return", "annualized.annual_return", 0.07, "0.07 is below 0.08"),
            ),
            Fault(
                "a deep drawdown, where it blocks",
                FAILED,
                "max_drawdown",
                metric("max_drawdown", "annualized.max_drawdown", -0.31, "-0.31 is below -0.3"),
            ),
            Fault(
                "a low Sharpe ratio, where it blocks",
                FAILED,
                "sharpe",
                metric(
                    "sharpe",
                    "annualized.root_year * annualized.mean_x / nullif(annualized.sd_r, 0)",
                    0.4,
                    "0.4 is below 0.5",
                ),
            ),
            Fault(
                "few months won, where it blocks",
                FAILED,
                "monthly_win_rate",
                metric("monthly_win_rate", "annualized.monthly_win_rate", 0.4, "0.4 is below 0.45"),
            ),
            Fault(
                "a strategy that holding every fund would have beaten",
                WARNED,
                "excess_t",
                edited(
                    "models/backtest/results/evidence.sql",
                    "    figures.excess_t,\n",
                    "    -2.5::double as excess_t,\n",
                    "-2.5 is below -2",
                    "2022-06-30 is the last session",
                ),
            ),
            Fault(
                "a drawdown that holding every fund would not have had",
                WARNED,
                "relative_drawdown",
                edited(
                    "models/backtest/results/metrics_by_period.sql",
                    "from figures\ngroup by",
                    "from (select * replace (if(curve = 'own', -0.36, -0.3) as max_drawdown) "
                    "from figures)\ngroup by",
                    "1.2 is above 1.1",
                    "2022-06-30 is the last session",
                ),
            ),
            Fault(
                "much turnover, where it blocks",
                FAILED,
                "annual_turnover",
                metric(
                    "annual_turnover",
                    "annualized.traded_value / 2 / annualized.mean_equity * annualized.per_year",
                    11,
                    "11 is above 10",
                ),
            ),
        ],
        gate_after(
            "pool_constraints",
            "int_strategies",
            "factor_summary",
            "target_weights",
            "positions_daily",
            "monthly_returns",
            "metrics",
            "evidence",
            "metrics_by_period",
            "path:models/capacity",
            "run_metadata",
            "int_expectations__published",
            extra=("--vars", "{performance_gate: error, production_min_coverage: 1.1}"),
        ),
        after_healthy=True,
    ),
    Group(
        [
            Fault(
                "the calendar's library at its end",
                WARNED,
                "calendar_beyond_library",
                edited(
                    "models/staging/trading_calendar.sql",
                    "    is_official,\n",
                    "    trade_date < '2022-06-20' as is_official,\n",
                    "2022-06-20 is the first of 10 sessions",
                    "exchange-calendars",
                ),
            ),
            Fault(
                "coverage below the published build's",
                WARNED,
                "factor_coverage_drop",
                coverage_dropped,
            ),
            Fault(
                "metrics unlike the published build's", WARNED, "metrics_change", metrics_changed
            ),
            Fault(
                "a volatility that is not known",
                WARNED,
                "volatility_scaling",
                edited(
                    "models/backtest/results/metrics.sql",
                    "annualized.root_year * annualized.sd_r as annual_volatility",
                    "null::double as annual_volatility",
                    "no value, nothing was judged",
                ),
            ),
        ],
        gate_after("run_settings", "int_published_build", "trading_calendar", "metrics"),
        after_healthy=True,
        variables=PUBLISHED,
    ),
]

# Faults of the program around the build, and of formulas, have tests of their own.
ELSEWHERE = {
    "a factor that reads tomorrow's bar": (
        "test_lookahead.py::test_a_peek_is_found_and_named[a factor]",
    ),
    "disk full": (
        "production/test_snapshots.py::test_a_full_disk_leaves_what_was_published",
        "production/test_snapshots.py::test_a_limit_on_file_size_leaves_what_was_published",
    ),
    "the process killed at any moment": (
        "production/test_snapshots.py::test_killed_at_any_moment_what_is_published_is_whole",
    ),
    "two builds at once": (
        "production/test_snapshots.py::test_a_second_run_is_refused_and_names_the_first",
    ),
    "a failed build, what is published untouched": (
        "production/test_snapshots.py::test_a_failed_gate_publishes_nothing",
    ),
}


class _Reports:
    """Gathers the outcome of each test that pytest runs, and its seconds."""

    def __init__(self):
        self.outcomes, self.seconds = {}, {}

    def pytest_runtest_logreport(self, report):
        test = report.nodeid.rsplit("/", 1)[-1]
        self.seconds[test] = self.seconds.get(test, 0) + report.duration
        if report.when == "call" or not report.passed:
            self.outcomes[test] = report.outcome


def main() -> int:
    """Run every fault and print who caught it; 1 if one got through."""
    began = time.monotonic()
    lines = missed = 0

    def say(name: str, outcome: str, caught_by: str, seconds: float) -> None:
        print(f"{name:46}{outcome:9}{caught_by:50}{seconds:7.1f}", flush=True)

    print(f"{'fault':46}{'outcome':9}{'caught by':50}{'seconds':>7}")
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder))
        for group in GROUPS:
            start = time.monotonic()
            built, words = group.run(workspace)
            share = (time.monotonic() - start) / len(group.faults)
            for fault, wanted in zip(group.faults, words, strict=True):
                caught_by = fault.caught_by
                try:
                    group.check(fault, built, wanted)
                except AssertionError as error:
                    missed += 1
                    caught_by = f"NOT CAUGHT: {error}"
                lines += 1
                say(fault.name, fault.outcome, caught_by, share)
    reports = _Reports()
    tests = [PROJECT / "tests" / "python" / test for tests in ELSEWHERE.values() for test in tests]
    with contextlib.redirect_stdout(io.StringIO()) as output:
        pytest.main(["--no-header", *map(str, tests)], plugins=[reports])
    for name, tests in ELSEWHERE.items():
        for test in tests:
            outcome = reports.outcomes.get(test, "not run")
            lines += 1
            missed += outcome not in ("passed", "skipped")
            caught_by = test.split("::test_")[-1].split("[")[0].replace("_", " ")
            say(name, outcome, caught_by, reports.seconds.get(test, 0))
    if "failed" in reports.outcomes.values():
        print(output.getvalue())
    print(f"{lines} faults, {missed} missed, {time.monotonic() - began:.0f} s")
    return min(missed, 1)


if __name__ == "__main__":
    sys.exit(main())
