"""The faults that the gate must catch, each put into data made from the sample, and who caught it.

`make faults` prints them as a table; test_faults.py runs them one by one.
"""

from __future__ import annotations

import csv
import datetime as dt
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
from etf_rotation import dbt
from etf_rotation.sample import write_sample

PROJECT = Path(__file__).parents[2]
FOLDERS = ("models", "macros", "seeds", "tests", "python")
FILES = ("dbt_project.yml", "profiles.yml")

# Enough funds for a strategy in every pool, and enough of them that one is below a tenth.
FUNDS = {"A_SHARE": 11, "QDII": 5, "OTHER": 6}
LAST_SESSION, SESSIONS = "2022-06-30", 400

FIRST = "159915.SZ"  # of all symbols

STOPPED, FAILED, WARNED = "stopped", "failed", "warned"


class Workspace:
    """A copy of the project, a raw folder and a database, put back before every fault."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.project = folder / "project"
        self.raw = folder / "raw"
        self.database = folder / "etf_rotation.duckdb"
        self._healthy_project = folder / "healthy_project"
        self._healthy_raw = folder / "healthy_raw"
        self._healthy_database = folder / "healthy" / "etf_rotation.duckdb"
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
        self._healthy_database.parent.mkdir()
        shutil.copy(self.database, self._healthy_database)

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
        if with_database:
            shutil.copy(self._healthy_database, self.database)

    # -- raw files --

    def path(self, symbol: str) -> Path:
        """Return the fund's raw file."""
        return next((self.raw / "ETF" / "daily").glob(f"{symbol}*.parquet"))

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
        done = dbt.invoke(
            [command, "--quiet", "--no-write-json", *arguments],
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
            is_success=done.success,
            errors=messages,
            ran=ran,
            checks=self._checks() if "gate_checks" in ran or command == "test" else [],
            seconds=time.monotonic() - began,
        )

    def _rows(self, result) -> str:
        """Return the first rows that a failed test found, as the end of a build prints them."""
        if result.node.resource_type != "test" or result.status != "fail":
            return ""
        rows = self.query(f"select * from ({result.node.compiled_code}) limit 3")
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

    is_success: bool
    errors: list[str]
    ran: set[str]
    checks: list[dict]
    seconds: float

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
    build : tuple of str
        Arguments of the build.
    after_healthy : bool
        Whether to start from the healthy database and build what the fault concerns.
    variables : dict
        Environment of the build; `{folder}` is the workspace's.
    """

    name: str
    outcome: str
    caught_by: str
    inject: Callable[[Workspace], list[str]]
    build: tuple[str, ...] = ()
    after_healthy: bool = False
    variables: dict[str, str] = field(default_factory=dict)


def run(fault: Fault, workspace: Workspace) -> Built:
    """Inject a fault, build, and assert that it was caught as it must be."""
    workspace.reset(with_database=fault.after_healthy)
    words = fault.inject(workspace)
    variables = {
        name: value.format(folder=workspace.folder) for name, value in fault.variables.items()
    }
    built = workspace.build(*fault.build, **variables)
    if fault.outcome == STOPPED:
        assert not built.is_success
        found = [line for line in built.errors if re.match(f"({fault.caught_by}):", line)]
        assert found, built.errors
        assert "stg_etf_daily" not in built.ran or fault.after_healthy
        assert "gate_checks" not in built.ran
    else:
        status = {FAILED: "fail", WARNED: "warn"}[fault.outcome]
        found = built.messages(fault.caught_by, status)
        assert found, [row for row in built.checks if row["status"] != "pass"]
        assert built.is_success is (fault.outcome == WARNED), built.errors
        if fault.outcome == FAILED:
            others = {row["check_name"] for row in built.checks if row["status"] == "fail"} - {
                fault.caught_by
            }
            assert not others - EXPECTED_BESIDES.get(fault.name, set()), others
    text = "\n".join(found)
    for word in words:
        assert word in text, (word, text)
    return built


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


# -------- stopped before anything is computed


def truncated_file(w: Workspace) -> list[str]:
    path = w.path("510300.SH")
    path.write_bytes(path.read_bytes()[:-200])
    return [path.name, "not a whole parquet file"]


def zero_byte_file(w: Workspace) -> list[str]:
    w.path("510300.SH").write_bytes(b"")
    return [w.path("510300.SH").name, "no bytes"]


def file_without_rows(w: Workspace) -> list[str]:
    w.write("510300.SH", [])
    return [w.path("510300.SH").name, "no rows"]


def broken_page(w: Workspace) -> list[str]:
    path = w.path("510300.SH")
    content = bytearray(path.read_bytes())
    content[4:400] = bytes(396)
    path.write_bytes(bytes(content))
    return [path.name, "unreadable"]


def missing_column(w: Workspace) -> list[str]:
    path = w.path("510300.SH")
    pq.write_table(pq.read_table(path).drop_columns(["amount"]), path)
    return [path.name, "amount is missing"]


def column_of_another_type(w: Workspace) -> list[str]:
    rows = [row | {"close": True} for row in w.rows("510300.SH")]
    w.write("510300.SH", rows, close=pa.bool_())
    return [w.path("510300.SH").name, "column close has type bool"]


def real_among_synthetic(w: Workspace) -> list[str]:
    path = w.path("510300.SH")
    pq.write_table(pq.read_table(path).replace_schema_metadata({}), path)
    return [path.name, "mixes the synthetic sample"]


def pool_with_no_file(w: Workspace) -> list[str]:
    for row in csv.DictReader((w.project / "seeds" / "etf_pools.csv").open(encoding="utf-8")):
        if row["pool"] == "QDII":
            w.path(row["symbol"]).unlink()
    return ["pool QDII has no raw row of any of its 5 funds", "159920.SZ"]


def no_file_at_all(w: Workspace) -> list[str]:
    shutil.rmtree(w.raw / "ETF")
    return ["no raw data", "ETF_RAW_ROOT"]


def fund_in_two_pools(w: Workspace) -> list[str]:
    with (w.project / "seeds" / "etf_pools.csv").open("a", encoding="utf-8") as file:
        file.write("510300.SH,QDII,again,broad,equity,true\n")
    return ["510300.SH"]


def category_missing(w: Workspace) -> list[str]:
    w.replace("seeds/etf_pools.csv", "512880.SH,A_SHARE", "512880.SH,A_SHARE,x,,equity,false\n#")
    text = (w.project / "seeds" / "etf_pools.csv").read_text(encoding="utf-8")
    kept = [line for line in text.splitlines() if not line.startswith("#")]
    (w.project / "seeds" / "etf_pools.csv").write_text("\n".join(kept) + "\n", encoding="utf-8")
    return ["512880.SH"]


def pool_without_constraints(w: Workspace) -> list[str]:
    w.replace("seeds/pool_constraints.csv", "QDII,", "QDI,")
    return ["QDII"]


def weights_beyond_one(w: Workspace) -> list[str]:
    w.replace("seeds/pool_constraints.csv", "QDII,3000000,0.3", "QDII,3000000,0.4")
    return ["1.1", "portfolio_weight"]


def unknown_pool_selected(_: Workspace) -> list[str]:
    return ["QDIII"]


def unreadable_dates_everywhere(w: Workspace) -> list[str]:
    for path in sorted((w.raw / "ETF" / "daily").glob("*.parquet"))[:-2]:
        symbol = path.name[:9]
        rows = w.rows(symbol)
        w.write(symbol, [row | {"trade_date": row["trade_date"][:4]} for row in rows])
    return ["trade_date", w.path(FIRST).name]


def swapped_columns_everywhere(w: Workspace) -> list[str]:
    for path in sorted((w.raw / "ETF" / "daily").glob("*.parquet")):
        symbol = path.name[:9]
        rows = w.rows(symbol)
        w.write(symbol, [row | {"high": row["low"], "low": row["high"]} for row in rows])
    return ["high, low", w.path(FIRST).name]


def unknown_catalogue_id(w: Workspace) -> list[str]:
    w.replace("seeds/factor_catalog.csv", "\nsma_10,", "\nsma_11,")
    return ["sma_11", "sma_10"]


def unreadable_published_build(w: Workspace) -> list[str]:
    (w.folder / "published.duckdb").write_text("no database")
    return ["published.duckdb", "ETF_PUBLISHED_DATABASE"]


# -------- bad rows, quarantined


def bad_rows(w: Workspace) -> list[str]:
    """Put one bad row, or two, into each of these funds; no message leaves one out."""
    later = dt.date.today() + dt.timedelta(days=400)
    found = {
        ("510300.SH", "unparseable_close"): w.edit_row("510300.SH", 50, close="n/a"),
        ("510500.SH", "not_finite_high"): w.edit_row("510500.SH", 60, high=float("nan")),
        ("159919.SZ", "not_finite_amount"): w.edit_row("159919.SZ", 70, amount=float("inf")),
        ("159922.SZ", "non_positive_low"): w.edit_row("159922.SZ", 80, low=-1.0),
        ("512880.SH", "high_below_others"): w.edit_row("512880.SH", 90, high=0.001),
        ("513050.SH", "symbol_unlike_file"): w.edit_row("513050.SH", 120, ts_code="513051.SH"),
    }
    w.edit_row("513500.SH", 100, trade_date="20210401 09:30:00")
    w.edit_row("513660.SH", 110, trade_date="20210415T00:00:00Z")
    rows = w.rows("511010.SH")
    w.write("511010.SH", [*rows, rows[200]])
    found["511010.SH", "exact_duplicate"] = _dashed(rows[200]["trade_date"])
    rows = w.rows("511260.SH")
    w.write("511260.SH", [*rows, rows[210] | {"close": rows[210]["close"] + 0.001}])
    found["511260.SH", "conflicting_duplicate"] = _dashed(rows[210]["trade_date"])
    rows = w.rows("511380.SH")
    holiday, future = "20220502", f"{later:%Y%m%d}"
    w.write("511380.SH", [*rows, rows[-1] | {"trade_date": holiday}])
    found["511380.SH", "not_a_session"] = _dashed(holiday)
    rows = w.rows("159920.SZ")
    w.write("159920.SZ", [*rows, rows[-1] | {"trade_date": future}])
    found["159920.SZ", "future_date"] = _dashed(future)
    words = ["20210401 09:30:00", "20210415T00:00:00Z", "time_of_day", "time_zone"]
    for (symbol, reason), date in found.items():
        words += [f"{w.path(symbol).name} ", f"{date} ", reason]
    return words


def two_files_for_one_fund(w: Workspace) -> list[str]:
    rows = w.rows("510300.SH")[100:103]
    other = w.raw / "ETF" / "daily" / "510300.SH_again.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schema=pq.read_schema(w.path("510300.SH"))), other)
    return [other.name, "two_files", _dashed(rows[0]["trade_date"])]


def whole_file_of_another_fund(w: Workspace) -> list[str]:
    w.write("510300.SH", [row | {"ts_code": "510301.SH"} for row in w.rows("510300.SH")])
    return [w.path("510300.SH").name, "symbol_unlike_file", "510301.SH"]


# -------- faults of the data, failed by the gate


def shares_instead_of_lots(w: Workspace) -> list[str]:
    w.write("510300.SH", [row | {"vol": row["vol"] * 100} for row in w.rows("510300.SH")])
    return [w.path("510300.SH").name, "2022-06-30", "raw_volume_unit"]


def yuan_instead_of_thousand(w: Workspace) -> list[str]:
    w.write("513100.SH", [_scaled(row, amount=1000) for row in w.rows("513100.SH")])
    return [w.path("513100.SH").name, "2022-06-30", "raw_amount_unit"]


def units_changed_last_year(w: Workspace) -> list[str]:
    rows = w.rows("510300.SH")
    w.write("510300.SH", rows[:-150] + [_scaled(row, amount=1000) for row in rows[-150:]])
    return [w.path("510300.SH").name, "over 250 bars"]


def unadjusted_split(w: Workspace) -> list[str]:
    rows = w.rows("510300.SH")
    prices = ("open", "high", "low", "close", "pre_close")
    split = [row | {name: row[name] / 2 for name in prices} for row in rows[250:]]
    split[0]["pre_close"] *= 2
    w.write("510300.SH", rows[:250] + split)
    return [w.path("510300.SH").name, _dashed(rows[250]["trade_date"]), "corporate_actions"]


def day_missing_for_all(w: Workspace) -> list[str]:
    for path in sorted((w.raw / "ETF" / "daily").glob("*.parquet")):
        rows = [row for row in w.rows(path.name[:9]) if row["trade_date"] != "20220315"]
        w.write(path.name[:9], rows)
    return ["2022-03-15", "no fund of the pool has a row"]


def frozen_fund(w: Workspace) -> list[str]:
    rows = _frozen(w.rows("510300.SH"), 300, 25)
    w.write("510300.SH", rows)
    return [w.path("510300.SH").name, _dashed(rows[300]["trade_date"]), "25 bars"]


def late_vendor(w: Workspace) -> list[str]:
    for symbol in ("513100.SH", "513500.SH"):
        w.write(symbol, w.rows(symbol)[:-1])
    return [w.path("513100.SH").name, w.path("513500.SH").name, "2022-06-30"]


def pool_of_suspensions(w: Workspace) -> list[str]:
    for row in csv.DictReader((w.project / "seeds" / "etf_pools.csv").open(encoding="utf-8")):
        if row["pool"] == "OTHER":
            rows = [one | {"vol": 0.0, "amount": 0.0} for one in w.rows(row["symbol"])]
            w.write(row["symbol"], rows)
    return ["0 is below 0.7"]


def stale_data_in_production(w: Workspace) -> list[str]:
    (w.raw / "SYNTHETIC").unlink()
    for path in sorted((w.raw / "ETF" / "daily").glob("*.parquet")):
        pq.write_table(pq.read_table(path).replace_schema_metadata({}), path)
    return ["2022-06-30 is the last bar"]


def _scaled(row: dict, **factors: float) -> dict:
    return row | {
        name: None if row[name] is None else row[name] * factor for name, factor in factors.items()
    }


def _frozen(rows: list[dict], start: int, length: int) -> list[dict]:
    prices = {name: rows[start][name] for name in ("open", "high", "low", "close")}
    still = [
        row | prices | ({"pre_close": prices["close"]} if position else {})
        for position, row in enumerate(rows[start : start + length])
    ]
    rows = rows[:start] + still + rows[start + length :]
    # The market goes on where the fund stood still, so that only the standing still is odd.
    rows[start + length]["pre_close"] = prices["close"]
    move = rows[start + length]["close"] / prices["close"]
    for row in rows[start + length :]:
        for name in ("open", "high", "low", "close", "pre_close"):
            row[name] = round(row[name] / move, 3)
    rows[start + length]["pre_close"] = prices["close"]
    return rows


# -------- faults of the data, warned of


def oddities(w: Workspace) -> dict[str, list[str]]:
    """Put oddities that do not block into funds of their own; return words by check."""
    words = {}
    rows = _frozen(w.rows("510300.SH"), 300, 12)
    w.write("510300.SH", rows)
    words["stale_prices"] = [w.path("510300.SH").name, _dashed(rows[300]["trade_date"]), "12 bars"]

    rows = w.rows("510500.SH")
    w.write("510500.SH", rows[:150] + rows[151:])
    words["no_row"] = [w.path("510500.SH").name, _dashed(rows[150]["trade_date"])]

    rows = w.rows("159919.SZ")
    ratio = 1.01
    w.write("159919.SZ", rows[:200] + [_scaled(rows[201], pre_close=1 / ratio)] + rows[202:])
    words["adjustment_after_gap"] = [
        w.path("159919.SZ").name,
        _dashed(rows[201]["trade_date"]),
        "ratio",
    ]

    rows = w.rows("159922.SZ")
    prices = ("open", "high", "low", "close", "pre_close")
    halved = [_scaled(row, **dict.fromkeys(prices, 0.5)) for row in rows[220:]]
    w.write("159922.SZ", rows[:220] + halved)
    words["large_adjustment"] = [w.path("159922.SZ").name, _dashed(rows[220]["trade_date"]), "2.0"]

    rows = w.rows("512880.SH")
    w.write("512880.SH", rows[:100] + [rows[100] | {"pre_close": None}] + rows[101:])
    words["pre_close_missing"] = [w.path("512880.SH").name, _dashed(rows[100]["trade_date"])]

    rows = w.rows("513500.SH")
    jump = _scaled(rows[150], **dict.fromkeys(("open", "high", "low", "close"), 1.15))
    w.write("513500.SH", rows[:150] + [jump] + rows[151:])
    words["move_beyond_limit"] = [w.path("513500.SH").name, _dashed(rows[150]["trade_date"]), "10%"]

    w.write("510050.SH", w.rows("510050.SH")[:-1])
    words["no_row_last_session"] = [w.path("510050.SH").name, "2022-06-30"]

    w.path("511380.SH").unlink()
    words["fund_without_file"] = ["511380.SH"]

    stranger = w.raw / "ETF" / "daily" / "588888.SH_daily.parquet"
    shutil.copy(w.path("510050.SH"), stranger)
    words["funds_in_no_pool"] = [stranger.name, "1 is above 0"]

    with (w.project / "seeds" / "corporate_actions.csv").open("a", encoding="utf-8") as file:
        file.write("511010.SH,2022-05-03,2,a holiday\n")
    words["corporate_action_without_bar"] = ["511010.SH", "2022-05-03", "corporate_actions.csv"]
    return words


# -------- faults of seeds and code


def threshold_missing(w: Workspace) -> list[str]:
    _drop_line(w.project / "seeds" / "gate_thresholds.csv", "unit_sanity,")
    return ["seed gate_thresholds has no row"]


def threshold_emptied(w: Workspace) -> list[str]:
    w.replace(
        "seeds/gate_thresholds.csv",
        "stale_prices,pool,worst,at_least,10,20",
        "stale_prices,pool,worst,at_least,10,",
    )
    return ["not complete"]


def check_removed(w: Workspace) -> list[str]:
    w.replace("models/gate/int_gate_observations.sql", ", 'units'", "")
    return ["no model of models/gate computes this check"]


def factor_lagged_twice(w: Workspace) -> list[str]:
    _in_panel(w, _moved("lag"))
    return ["ret_20 differs on", FIRST, "2020-12-"]


def factor_not_lagged(w: Workspace) -> list[str]:
    _in_panel(w, _moved("lead"))
    return ["ret_20 differs on", FIRST, "2020-12-"]


def _moved(how: str) -> str:
    moved = f"{how}(ret_20) over (partition by symbol order by trade_date)"
    return f"project('* replace ({moved} as ret_20)').order('symbol, trade_date')"


def panel_row_lost(w: Workspace) -> list[str]:
    _in_panel(w, "filter(\"symbol <> '510300.SH' or trade_date <> '2022-03-15'\")")
    return ["row keys differs on 1 rows", "510300.SH", "2022-03-15"]


def panel_unsorted(w: Workspace) -> list[str]:
    _in_panel(w, "select * from {lagged} order by trade_date, symbol")
    return ["not sorted", FIRST, "2022-07-01"]


def panel_row_twice(w: Workspace) -> list[str]:
    twice = "from {lagged} union all from {lagged} order by symbol, trade_date"
    _in_panel(w, twice)
    return ["key twice", FIRST]


def _in_panel(w: Workspace, rows: str) -> None:
    lagged = "{{ ref('int_factors__lagged') }}"
    panel = "models/signals/factor_panel.sql"
    w.replace(panel, f"\nfrom {lagged}", f"\nfrom ({rows.replace('{lagged}', lagged)})")


def signals_read_unlagged_bars(w: Workspace) -> list[str]:
    w.replace(
        "models/signals/selection_log.sql",
        "select\n",
        "-- depends_on: {{ ref('stg_etf_daily') }}\nselect\n",
    )
    return ["stg_etf_daily -> selection_log", "models/signals/selection_log.sql"]


def signals_read_by_name(w: Workspace) -> list[str]:
    w.replace(
        "models/signals/selection_log.sql",
        "order by",
        "where exists (select 1 from factors.int_bars)\norder by",
    )
    return ["factors.int_bars -> selection_log", "models/signals/selection_log.sql"]


def weight_beyond_limit(w: Workspace) -> list[str]:
    w.replace(
        "models/signals/target_weights.sql",
        "    target_weight,\n",
        "    2 * target_weight as target_weight,\n",
    )
    return ["limit 0.25", "0.4"]


def metadata_lost(w: Workspace) -> list[str]:
    w.replace(
        "models/gate/run_metadata.sql",
        "    run.input_fingerprint,\n",
        "    cast(null as varchar) as input_fingerprint,\n",
    )
    return ["no input_fingerprint"]


def negative_cash(w: Workspace) -> list[str]:
    w.replace(
        "models/backtest/positions_daily.sql",
        "    ledger.shares,\n",
        "    -ledger.shares as shares,\n",
    )
    return ["positions_daily shares expect_column_values_to_be_between", "rows, such as"]


def calendar_beyond_library(w: Workspace) -> list[str]:
    w.replace(
        "models/staging/trading_calendar.sql",
        "    is_official,\n",
        "    trade_date < '2022-06-20' as is_official,\n",
    )
    return ["2022-06-30", "exchange-calendars"]


def constant_factors(w: Workspace) -> list[str]:
    w.replace(
        "models/signals/factor_summary.sql",
        "        statistics.zero_variance,\n",
        "        starts_with(catalogue.factor_id, 'rsi') as zero_variance,\n",
    )
    return ["rsi_14", "16 is above 10"]


def few_production_factors(_: Workspace) -> list[str]:
    return ["is below 8", "factor_summary"]


def too_much_of_adv(w: Workspace) -> list[str]:
    w.replace("seeds/pool_constraints.csv", "QDII,3000000", "QDII,2000000000")
    return ["limit 0.03", "513"]


def wild_equity(w: Workspace) -> list[str]:
    w.replace(
        "models/backtest/metrics.sql",
        "annualised.root_year * annualised.sd_r as annual_volatility",
        "0.5::double as annual_volatility",
    )
    return ["0.4 is below 0.6"]


def wild_month(w: Workspace) -> list[str]:
    w.replace(
        "models/backtest/monthly_returns.sql", "- 1 as monthly_return", "- 0.6 as monthly_return"
    )
    return ["is above 0.3"]


def weak_strategy(_: Workspace) -> list[str]:
    return ["is below"]


def coverage_dropped(w: Workspace) -> list[str]:
    _publish(w, "update signals.factor_summary set coverage = coverage + 0.11 where pool = 'QDII'")
    return ["in the published build"]


def metrics_changed(w: Workspace) -> list[str]:
    _publish(
        w, "update backtest.metrics set annual_return = annual_return + 0.5 where pool = 'QDII'"
    )
    return ["annual_return", ", was "]


def _publish(w: Workspace, change: str) -> None:
    path = w.folder / "published.duckdb"
    shutil.copy(w._healthy_database, path)
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

FAULTS = [
    Fault("truncated parquet", STOPPED, "raw_files", truncated_file),
    Fault("zero-byte parquet", STOPPED, "raw_files", zero_byte_file),
    Fault("parquet without rows", STOPPED, "raw_files", file_without_rows),
    Fault("broken page in a parquet", STOPPED, "raw_rows", broken_page),
    Fault("missing column", STOPPED, "raw_files", missing_column),
    Fault("column of another type", STOPPED, "raw_files", column_of_another_type),
    Fault("real data among synthetic", STOPPED, "raw_files", real_among_synthetic),
    Fault("a pool with no file", STOPPED, "raw_rows", pool_with_no_file),
    Fault("no file at all", STOPPED, "raw_files", no_file_at_all),
    Fault(
        "a fund listed in two pools",
        STOPPED,
        "raw_files|primary_key_etf_pools_symbol",
        fund_in_two_pools,
    ),
    Fault("a category missing", STOPPED, "raw_files|has_no_nulls_etf_pools.*", category_missing),
    Fault(
        "a pool without constraints",
        STOPPED,
        "raw_files|relationships_etf_pools.*",
        pool_without_constraints,
    ),
    Fault("portfolio weights beyond 1", STOPPED, "raw_files", weights_beyond_one),
    Fault(
        "an unknown pool selected",
        STOPPED,
        "raw_files",
        unknown_pool_selected,
        variables={"ETF_POOLS": "QDIII"},
    ),
    Fault(
        "most dates unreadable",
        STOPPED,
        "assert_raw_expectations_hold",
        unreadable_dates_everywhere,
    ),
    Fault(
        "high and low swapped", STOPPED, "assert_raw_expectations_hold", swapped_columns_everywhere
    ),
    Fault(
        "an unknown factor id in the catalogue",
        STOPPED,
        "factor_panel",
        unknown_catalogue_id,
        build=("--select", "factor_catalog", "factor_panel+", "--indirect-selection", "empty"),
        after_healthy=True,
    ),
    Fault(
        "an unreadable published build",
        STOPPED,
        "int_published_build",
        unreadable_published_build,
        build=gate_after("run_settings", "int_published_build"),
        after_healthy=True,
        variables=PUBLISHED,
    ),
    Fault(
        "text, NaN, infinity, negative, high below low, duplicates, holiday, future, time of day, "
        "time zone, wrong symbol",
        WARNED,
        "quarantine_share",
        bad_rows,
    ),
    Fault(
        "two files for one fund",
        WARNED,
        "quarantine_share",
        two_files_for_one_fund,
        STAGING,
        after_healthy=True,
    ),
    Fault(
        "a whole file of another fund",
        FAILED,
        "quarantine_share",
        whole_file_of_another_fund,
        STAGING,
        after_healthy=True,
    ),
    Fault(
        "shares instead of lots",
        FAILED,
        "unit_sanity",
        shares_instead_of_lots,
        STAGING,
        after_healthy=True,
    ),
    Fault(
        "yuan instead of thousand",
        FAILED,
        "unit_sanity",
        yuan_instead_of_thousand,
        STAGING,
        after_healthy=True,
    ),
    Fault(
        "units changed last year",
        FAILED,
        "unit_sanity",
        units_changed_last_year,
        STAGING,
        after_healthy=True,
    ),
    Fault(
        "unadjusted split",
        FAILED,
        "unexplained_move",
        unadjusted_split,
        STAGING,
        after_healthy=True,
    ),
    Fault(
        "a day missing for all",
        FAILED,
        "missing_session",
        day_missing_for_all,
        STAGING,
        after_healthy=True,
    ),
    Fault("a frozen fund", FAILED, "stale_prices", frozen_fund, STAGING, after_healthy=True),
    Fault("a late vendor", FAILED, "no_row_last_session", late_vendor, STAGING, after_healthy=True),
    Fault("a pool that never trades", FAILED, "factor_coverage", pool_of_suspensions),
    Fault(
        "old data in production",
        FAILED,
        "freshness",
        stale_data_in_production,
        build=(*STAGING, "--target", "prod"),
        after_healthy=True,
    ),
    Fault(
        "a threshold missing",
        FAILED,
        "unit_sanity",
        threshold_missing,
        build=gate_after("gate_thresholds", "gate_index"),
        after_healthy=True,
    ),
    Fault(
        "a threshold emptied",
        FAILED,
        "stale_prices",
        threshold_emptied,
        build=gate_after("gate_thresholds", "gate_index"),
        after_healthy=True,
    ),
    Fault(
        "a check removed",
        FAILED,
        "unit_sanity",
        check_removed,
        build=gate_after(),
        after_healthy=True,
    ),
    Fault(
        "a factor lagged twice",
        FAILED,
        "lag_dynamic",
        factor_lagged_twice,
        build=gate_after("factor_panel", "int_lag__differences"),
        after_healthy=True,
    ),
    Fault(
        "a factor not lagged",
        FAILED,
        "lag_dynamic",
        factor_not_lagged,
        build=gate_after("factor_panel", "int_lag__differences"),
        after_healthy=True,
    ),
    Fault(
        "a panel row lost",
        FAILED,
        "lag_dynamic",
        panel_row_lost,
        build=gate_after("factor_panel", "int_lag__differences"),
        after_healthy=True,
    ),
    Fault(
        "the panel not sorted",
        FAILED,
        "panel_index",
        panel_unsorted,
        build=gate_after("factor_panel", "int_lag__differences"),
        after_healthy=True,
    ),
    Fault(
        "panel rows twice",
        FAILED,
        "panel_index",
        panel_row_twice,
        build=gate_after("factor_panel", "int_lag__differences"),
        after_healthy=True,
    ),
    Fault(
        "signals that read unlagged bars",
        FAILED,
        "lag_static",
        signals_read_unlagged_bars,
        build=gate_after(),
        after_healthy=True,
    ),
    Fault(
        "signals that read them by name",
        FAILED,
        "lag_static",
        signals_read_by_name,
        build=gate_after(),
        after_healthy=True,
    ),
    Fault(
        "a weight beyond its limit",
        FAILED,
        "single_weight",
        weight_beyond_limit,
        build=gate_after("target_weights", "path:models/capacity"),
        after_healthy=True,
    ),
    Fault(
        "more than the market trades",
        FAILED,
        "adv_share",
        too_much_of_adv,
        build=gate_after(
            "pool_constraints",
            "path:models/backtest",
            "path:models/capacity",
            extra=("--vars", "{enforce_adv: false}"),
        ),
        after_healthy=True,
    ),
    Fault(
        "metadata lost",
        FAILED,
        "metadata_complete",
        metadata_lost,
        build=gate_after("run_metadata"),
        after_healthy=True,
    ),
    Fault(
        "positions of negative shares",
        FAILED,
        "expectations_published",
        negative_cash,
        build=gate_after("positions_daily", "int_expectations__published"),
        after_healthy=True,
    ),
    Fault(
        "constant factors",
        FAILED,
        "zero_variance_factors",
        constant_factors,
        build=gate_after("factor_summary"),
        after_healthy=True,
    ),
    Fault(
        "too few production factors",
        FAILED,
        "production_factors",
        few_production_factors,
        build=gate_after("factor_summary", extra=("--vars", "{production_min_coverage: 1.1}")),
        after_healthy=True,
    ),
    Fault(
        "volatility that asks for scaling",
        FAILED,
        "volatility_scaling",
        wild_equity,
        build=gate_after("metrics"),
        after_healthy=True,
    ),
    Fault(
        "a month too good to be true",
        FAILED,
        "largest_month",
        wild_month,
        build=gate_after("monthly_returns"),
        after_healthy=True,
    ),
    Fault(
        "weak returns, where they block",
        FAILED,
        "sharpe",
        weak_strategy,
        build=gate_after(extra=("--vars", "{performance_gate: error}")),
        after_healthy=True,
    ),
    Fault(
        "the calendar's library at its end",
        WARNED,
        "calendar_beyond_library",
        calendar_beyond_library,
        build=gate_after("trading_calendar"),
        after_healthy=True,
    ),
    Fault(
        "coverage below the published build's",
        WARNED,
        "factor_coverage_drop",
        coverage_dropped,
        build=gate_after("run_settings", "int_published_build"),
        after_healthy=True,
        variables=PUBLISHED,
    ),
    Fault(
        "metrics unlike the published build's",
        WARNED,
        "metrics_change",
        metrics_changed,
        build=gate_after("run_settings", "int_published_build"),
        after_healthy=True,
        variables=PUBLISHED,
    ),
]

# What else a fault must break, for one follows from the other.
EXPECTED_BESIDES = {
    "a pool that never trades": {"production_factors"},
    "weak returns, where they block": {"annual_return", "max_drawdown", "monthly_win_rate"},
    "a factor not lagged": set(),
    "panel rows twice": {"lag_dynamic"},
    "a weight beyond its limit": {"sector_weight"},
}

ELSEWHERE = {
    "a factor that reads tomorrow's bar": "make lookahead, the rebuild on truncated data",
    "disk full": "the tests of the production command",
    "the process killed at any moment": "the tests of the production command",
    "two builds at once": "the tests of the production command",
    "the published build untouched": "the tests of the production command",
}


def run_oddities(workspace: Workspace) -> list[str]:
    """Build data with every oddity at once; return the names of the checks, all of which warn."""
    workspace.reset(with_database=True)
    words = oddities(workspace)
    built = workspace.build(*gate_after("corporate_actions", "path:models/staging"))
    assert built.is_success, built.errors
    for check, wanted in words.items():
        text = "\n".join(built.messages(check, "warn"))
        missing = [word for word in wanted if word not in text]
        assert not missing, (check, missing, text)
    return list(words)


def main() -> int:
    """Run every fault and print who caught it; 1 if one got through."""
    began = time.monotonic()
    lines = missed = 0

    def say(name: str, outcome: str, caught_by: str, seconds: float) -> None:
        print(f"{name[:62]:64}{outcome:10}{caught_by:32}{seconds:7.1f}", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Path(folder))
        print(f"{'fault':64}{'outcome':10}{'caught by':32}{'seconds':>7}")
        for fault in FAULTS:
            start = time.monotonic()
            try:
                run(fault, workspace)
                caught_by = fault.caught_by
            except AssertionError as error:
                missed += 1
                caught_by = f"NOT CAUGHT: {error}"
            lines += 1
            say(fault.name, fault.outcome, caught_by, time.monotonic() - start)
        start = time.monotonic()
        checks = run_oddities(workspace)
        for check in checks:
            lines += 1
            say(check.replace("_", " "), WARNED, check, (time.monotonic() - start) / len(checks))
    for name, where in ELSEWHERE.items():
        print(f"{name:64}{'':10}{where}")
    print(f"{lines} faults, {missed} missed, {time.monotonic() - began:.0f} s")
    return min(missed, 1)


if __name__ == "__main__":
    sys.exit(main())
