"""Builds for the tests: dbt in this process, each into a database and target of its own."""

import os
import tempfile
from pathlib import Path
from types import SimpleNamespace

import duckdb
import pytest
from etf_rotation import dbt
from etf_rotation.sample import write_sample

# hypothesis would keep its examples in the project's folder.
os.environ.setdefault(
    "HYPOTHESIS_STORAGE_DIRECTORY", str(Path(tempfile.gettempdir()) / "etf-rotation-hypothesis")
)
PROJECT = dbt.PROJECT
SEEDS = PROJECT / "seeds"


def run_dbt(folder, raw_root, *arguments):
    """Run dbt on the project with database, target and logs in `folder`; return its result.

    `result.success` says whether it passed, `result.result` holds the nodes' outcomes.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in [n for n in os.environ if n.startswith("ETF_")]:
            patch.delenv(name)
        return dbt.invoke(
            ["--quiet", *arguments],
            database=folder / "etf_rotation.duckdb",
            folder=folder,
            variables={"ETF_RAW_ROOT": str(raw_root)},
        )


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
    database = build(folder, raw_root, "--selector", "data_and_research")
    with duckdb.connect(str(database), read_only=True) as connection:
        yield SimpleNamespace(
            raw_root=raw_root, folder=folder, database=database, connection=connection
        )
