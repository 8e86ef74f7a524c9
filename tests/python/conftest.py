"""Builds for the tests: dbt in this process, each into a database and target of its own."""

import fcntl
import hashlib
import io
import os
import shutil
import tempfile
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import duckdb
import pytest
from etf_rotation import dbt_project
from etf_rotation.cli.main import main
from etf_rotation.sample import write_sample
from faults.workspace import FAULTS, make_healthy

# hypothesis would keep its examples in the project's folder.
os.environ.setdefault(
    "HYPOTHESIS_STORAGE_DIRECTORY", str(Path(tempfile.gettempdir()) / "etf-rotation-hypothesis")
)
PROJECT = dbt_project.PROJECT
SEEDS = PROJECT / "seeds"

# The workers share the cores, and threads of one build also wait for each other. The sample
# is built with two threads, as by default.
os.environ.setdefault("ETF_THREADS", "1")


# The longest files, in CPU seconds from 140 to 30. They begin first, so that no worker ends with
# one of them alone.
LONG = (
    *("test_faults.py", "test_report.py", "test_production.py", "test_sweep.py"),
    *("test_fetch_run.py", "test_snapshots.py", "test_own_strategy.py", "test_lookahead.py"),
    *("test_published_figures.py", "test_dbt_habits.py"),
)


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: LONG.index(item.path.name) if item.path.name in LONG else len(LONG))


def run_dbt(folder, raw_root, *arguments, callbacks=(), writes_json=False, **variables):
    """Run dbt on the project with database, target and logs in `folder`; return its result.

    `result.success` says whether it passed, `result.result` holds the nodes' outcomes. Each of
    `callbacks` receives dbt's events. `variables` are of the environment, such as ETF_POOLS.
    """
    with pytest.MonkeyPatch.context() as patch, parsed_before(folder, arguments) as link:
        for name in [n for n in os.environ if n.startswith("ETF_") and n != "ETF_THREADS"]:
            patch.delenv(name)
        return dbt_project.invoke(
            ["--quiet", *arguments],
            database=link / "etf_rotation.duckdb",
            folder=folder,
            variables={"ETF_RAW_ROOT": str(raw_root), **variables},
            callbacks=callbacks,
            writes_json=writes_json,
        )


PARSED = Path("target", "partial_parse.msgpack")
_parsed = tempfile.TemporaryDirectory(prefix="etf-rotation-parsed-")


@contextmanager
def parsed_before(folder, arguments):
    """Lend dbt what an earlier build parsed with the same vars; yield a link to `folder`.

    dbt parses anew where the database has another path: every build goes through one link.
    """
    options = zip(arguments, arguments[1:], strict=False)
    given = "".join(value for option, value in options if option in ("--vars", "--target"))
    kept = Path(_parsed.name) / f"{hashlib.sha256(given.encode()).hexdigest()}.msgpack"
    link = Path(_parsed.name) / "building"
    if kept.is_file() and not (folder / PARSED).exists():
        (folder / PARSED).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(kept, folder / PARSED)
    link.symlink_to(folder)
    try:
        yield link
    finally:
        link.unlink()
    if (folder / PARSED).is_file():
        shutil.copyfile(folder / PARSED, kept)


def build(folder, raw_root, *arguments, **options):
    """Run `dbt build`, which must pass, and return the path of the database."""
    result = run_dbt(folder, raw_root, "build", *arguments, **options)
    faults = [f"{r.node.name}: {r.message}" for r in result.result or () if r.status in FAULTS]
    assert result.success, "\n".join(faults) or str(result.exception)
    return folder / "etf_rotation.duckdb"


def damage(database, table):
    """Flip a byte in the first block of a table."""
    with duckdb.connect(str(database), read_only=True) as connection:
        ((block,),) = connection.execute(
            f"select min(block_id) from pragma_storage_info('{table}') where block_id >= 0"
        ).fetchall()
        ((size,),) = connection.execute("select block_size from pragma_database_size()").fetchall()
    # Three headers of 4,096 bytes come before the first block.
    position = 3 * 4096 + block * size + 1000
    with database.open("r+b") as file:
        file.seek(position)
        (byte,) = file.read(1)
        file.seek(position)
        file.write(bytes([byte ^ 0xFF]))


def bare_environment():
    """Return PATH and ETF_THREADS, for a command that must not see other variables."""
    return {name: os.environ[name] for name in ("PATH", "ETF_THREADS")}


def run_here(*arguments, folder, **environment):
    """Run the command in this process as `bin/etf-rotation` would; return what it said.

    From the working directory `folder` and with only these variables, beside PATH and
    ETF_THREADS. A process needs five seconds to import dbt and great_expectations.
    """
    with (
        mock.patch.dict(os.environ, bare_environment() | environment, clear=True),
        chdir(folder),
        redirect_stdout(io.StringIO()) as output,
        redirect_stderr(io.StringIO()) as errors,
    ):
        code = main([str(argument) for argument in arguments])
    return SimpleNamespace(returncode=code, stdout=output.getvalue(), stderr=errors.getvalue())


@pytest.fixture(scope="session")
def once(tmp_path_factory):
    """Make a folder once for all of pytest's workers: `once(name, fill)` returns its path.

    The first worker that asks calls `fill` with the empty folder; the others wait for it. What
    lies in the folder is shared, so no test may write there.
    """
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent

    def once(name, fill):
        folder, finished = shared / name, shared / f"{name}.finished"
        with (shared / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not finished.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                fill(folder)
                finished.touch()
        return folder

    return once


def build_sample(folder):
    """Write the synthetic sample, two years of it, and build it whole with every dbt test."""
    write_sample(folder / "sample", pools_csv=SEEDS / "etf_pools.csv", sessions=500)
    build(
        folder,
        folder / "sample",
        "--selector",
        "data_and_research",
        writes_json=True,
        ETF_THREADS="2",
    )


@pytest.fixture(scope="session")
def sample(once):
    """The synthetic sample, two years of it, built whole with every dbt test.

    Has `raw_root`, `folder` (with target), `database` and a read-only `connection`.
    """
    folder = once("sample_build", build_sample)
    database = folder / "etf_rotation.duckdb"
    with duckdb.connect(str(database), read_only=True) as connection:
        yield SimpleNamespace(
            raw_root=folder / "sample", folder=folder, database=database, connection=connection
        )


@pytest.fixture(scope="session")
def healthy(once):
    """The folder of the build from which a workspace of faults starts."""
    return once("healthy", make_healthy)
