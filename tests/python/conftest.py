"""Builds for the tests: dbt in this process, each into a database and target of its own."""

import os
from pathlib import Path
from types import SimpleNamespace

import duckdb
import pytest
from etf_rotation.sample import write_sample

PROJECT = Path(__file__).parents[2]
SEEDS = PROJECT / "seeds"


def run_dbt(folder, raw_root, *arguments):
    """Run dbt on the project with database, target and logs in `folder`; return its result.

    `result.success` says whether it passed, `result.result` holds the nodes' outcomes.
    """
    from dbt.adapters.duckdb.connections import DuckDBConnectionManager
    from dbt.cli.main import dbtRunner

    places = {
        "ETF_DATABASE": folder / "etf_rotation.duckdb",
        "ETF_RAW_ROOT": raw_root,
        "ETF_PROJECT_DIR": PROJECT,
        "DBT_PROJECT_DIR": PROJECT,
        "DBT_PROFILES_DIR": PROJECT,
        "DBT_TARGET_PATH": folder / "target",
        "DBT_LOG_PATH": folder / "logs",
        "DBT_QUIET": "true",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name in [n for n in os.environ if n.startswith("ETF_")]:
            patch.delenv(name)
        for name, value in places.items():
            patch.setenv(name, str(value))
        try:
            return dbtRunner().invoke(list(arguments))
        finally:
            # dbt keeps the database open: nobody else could read it.
            if DuckDBConnectionManager._ENV is not None:
                DuckDBConnectionManager._ENV.close()
                DuckDBConnectionManager._ENV = None


def build(folder, raw_root, *arguments):
    """Run `dbt build`, which must pass, and return the path of the database."""
    result = run_dbt(folder, raw_root, "build", *arguments)
    faults = [f"{r.node.name}: {r.message}" for r in result.result or () if r.status in FAULTS]
    assert result.success, "\n".join(faults) or str(result.exception)
    return folder / "etf_rotation.duckdb"


FAULTS = {"error", "fail", "runtime error"}


@pytest.fixture(scope="session")
def sample(tmp_path_factory):
    """The synthetic sample, two years of it, built whole with every dbt test.

    Has `raw_root`, `folder` (with target), `database` and a read-only `connection`.
    """
    folder = tmp_path_factory.mktemp("sample_build")
    raw_root = folder / "sample"
    write_sample(raw_root, pools_csv=SEEDS / "etf_pools.csv", sessions=500)
    database = build(folder, raw_root)
    with duckdb.connect(str(database), read_only=True) as connection:
        yield SimpleNamespace(
            raw_root=raw_root, folder=folder, database=database, connection=connection
        )
