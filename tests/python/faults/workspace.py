"""A copy of the project and a sample of raw files, in which one fault after another is made."""

from __future__ import annotations

import csv
import hashlib
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from etf_rotation import dbt_project
from etf_rotation.sample import write_sample

PROJECT = Path(__file__).parents[3]


FOLDERS = ("models", "macros", "seeds", "tests", "python")


FILES = ("dbt_project.yml", "profiles.yml", "selectors.yml")


FAULTS = ("error", "fail", "runtime error")


QUIET = ("--log-level", "none")


# Enough funds for a strategy in every pool, and enough of them that one is below a tenth.
FUNDS = {"A_SHARE": 11, "QDII": 5, "OTHER": 6}


LAST_SESSION, SESSIONS = "2022-06-30", 400


FIRST = "159915.SZ"  # of all symbols


STRANGER = "588888.SH"  # in no pool


PRICES = ("open", "high", "low", "close")


# Tables that hold a build's paths, and the columns.
PATHS = {
    "staging.run_settings": ("raw_root", "project_dir", "data_docs"),
    "staging.raw_files": ("path",),
}


def make_healthy(folder: Path) -> None:
    """Fill a folder with what workspaces start from: project, raw files and their build."""
    project, raw = folder / "project", folder / "raw"
    copy_project(PROJECT, project)
    _trim_seeds(project / "seeds")
    write_sample(
        raw,
        pools_csv=project / "seeds" / "etf_pools.csv",
        last_session=LAST_SESSION,
        sessions=SESSIONS,
    )
    done = dbt_project.invoke(
        ["build", *QUIET, "--exclude-resource-type", "unit_test"],
        database=folder / "etf_rotation.duckdb",
        folder=folder / "dbt",
        project=project,
        variables={"ETF_RAW_ROOT": str(raw)},
    )
    failed = [f"{r.node.name}: {r.message}" for r in done.result or () if r.status in FAULTS]
    if not done.success:
        raise AssertionError(f"the healthy build fails: {failed or done.exception}")


def _trim_seeds(seeds: Path) -> None:
    with (seeds / "etf_pools.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    kept = [
        row
        for pool, count in FUNDS.items()
        for row in [row for row in rows if row["pool"] == pool][:count]
    ]
    symbols = {row["symbol"] for row in kept}
    write_csv(seeds / "etf_pools.csv", kept)
    with (seeds / "corporate_actions.csv").open(encoding="utf-8", newline="") as file:
        actions = list(csv.DictReader(file))
    write_csv(seeds / "corporate_actions.csv", [row for row in actions if row["symbol"] in symbols])


class Workspace:
    """A copy of the project, a raw folder and a database, put back before every fault.

    `healthy` is a folder that `make_healthy` filled; it stays as it is.
    """

    def __init__(self, folder: Path, healthy: Path):
        self.folder = folder
        self.project = folder / "project"
        self.raw = folder / "raw"
        self.database = folder / "etf_rotation.duckdb"
        self.healthy = healthy
        self.healthy_database = healthy / "etf_rotation.duckdb"

    def reset(self, *, with_database: bool = False) -> None:
        """Put project and raw files back; the database is gone, or that of the healthy build."""
        _synchronise(self.healthy / "project", self.project)
        _synchronise(self.healthy / "raw", self.raw)
        self.database.unlink(missing_ok=True)
        Path(f"{self.database}.wal").unlink(missing_ok=True)
        (self.folder / "published.duckdb").unlink(missing_ok=True)
        if with_database:
            shutil.copy(self.healthy_database, self.database)
            self._move_paths()

    def _move_paths(self) -> None:
        """Make the paths in the copied database those of this workspace."""
        with duckdb.connect(str(self.database)) as connection:
            for table, columns in PATHS.items():
                moved = (f"{name} = replace({name}, $old, $new)" for name in columns)
                connection.execute(
                    f"update {table} set {', '.join(moved)}",
                    {"old": f"{self.healthy}/", "new": f"{self.folder}/"},
                )

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
        date = dashed(rows[position]["trade_date"])
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
        # test_unit_tests.py runs the unit tests, which judge the code and not the data.
        only = () if command == "parse" else ("--exclude-resource-type", "unit_test")
        # With other vars dbt parses the project anew, which takes 2 s: each has its own folder.
        options = zip(arguments, arguments[1:], strict=False)
        given = [value for option, value in options if option in ("--vars", "--target")]
        done = dbt_project.invoke(
            [command, *QUIET, *only, *arguments],
            database=self.database,
            folder=self.folder / "dbt" / hashlib.sha256(repr(given).encode()).hexdigest()[:8],
            project=self.project,
            variables={"ETF_RAW_ROOT": str(self.raw), **variables},
        )
        results = getattr(done.result, "results", None) or []
        messages = [
            " ".join([f"{result.node.name}:", *(result.message or "").split(), self._rows(result)])
            for result in results
            if result.status in FAULTS
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


def write_csv(path: Path, rows: list[dict]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def dashed(date: str) -> str:
    return f"{date[:4]}-{date[4:6]}-{date[6:8]}"
