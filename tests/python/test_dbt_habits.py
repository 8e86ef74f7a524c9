"""A dbt user's first steps: any working directory or path, fresh checkout, --empty."""

import csv
import json
import os
import subprocess
import sys
from types import SimpleNamespace

import duckdb
import pytest
from conftest import PROJECT, SEEDS, run_dbt
from etf_rotation.dbt_project import engine_options
from etf_rotation.sql import attach
from faults.workspace import copy_project

SCRIPT = """
import sys
from dbt.cli.main import dbtRunner

place = ["--project-dir", sys.argv[1], "--profiles-dir", sys.argv[1]]
commands = (
    ["run", "--empty", "--select", "+int_selection"],
    ["run", "--select", "int_selection"],
    ["build", "--empty"],
)
for command in commands:
    result = dbtRunner().invoke([*command, *place])
    if not result.success:
        sys.exit(f"dbt {' '.join(command)} failed: {result.exception or ''}")
"""


@pytest.fixture(scope="module")
def checkout(sample, tmp_path_factory):
    """A fresh checkout at a path with an apostrophe, built with --empty from another directory.

    Has `project`, `elsewhere` (the working directory), `output` and a read-only
    `connection`.
    """
    folder = tmp_path_factory.mktemp("habits")
    project, elsewhere = folder / "it's new", folder / "elsewhere"
    copy_project(PROJECT, project)
    (project / "sample").symlink_to(sample.raw_root)
    elsewhere.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(project)],
        cwd=elsewhere,
        env={name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    with duckdb.connect() as connection:
        attach(connection, project / "etf_rotation.duckdb", "etf_rotation")
        attach(connection, sample.database, "whole")
        yield SimpleNamespace(
            project=project, elsewhere=elsewhere, output=done.stdout, connection=connection
        )


def test_dbt_writes_into_the_project_from_any_working_directory(checkout):
    assert list(checkout.elsewhere.iterdir()) == []
    assert (checkout.project / "target" / "gate_report" / "raw" / "index.html").is_file()


RELATIONS = """
    select table_schema, table_name, column_name, data_type
    from information_schema.columns
    where table_catalog = '{}' and table_schema <> 'research'
    order by all
"""


def test_an_empty_build_has_every_column_and_no_bar(checkout):
    columns, wanted = (
        checkout.connection.sql(RELATIONS.format(build)).fetchall()
        for build in ("etf_rotation", "whole")
    )
    assert columns == wanted
    for table in ("staging.stg_etf_daily", "signals.factor_panel", "signals.target_weights"):
        assert checkout.connection.sql(f"from etf_rotation.{table}").fetchall() == []


def test_an_empty_build_is_not_judged(checkout):
    assert "gate: not judged, for --empty builds tables without rows" in checkout.output


def test_a_setting_is_its_var_else_that_of_the_environment(sample, tmp_path):
    query = "select raw_root, universe, holdings_file, published_database from staging.run_settings"
    assert sample.connection.sql(query).fetchall() == [(str(sample.raw_root), "pools", None, "")]
    given = "{raw_root: it's, universe: all, holdings_file: mine.csv, published_database: /old}"
    command = "run", "--select", "run_settings", "--vars", given
    assert run_dbt(tmp_path, sample.raw_root, *command).success
    with duckdb.connect(str(tmp_path / "etf_rotation.duckdb"), read_only=True) as connection:
        (row,) = connection.sql(query).fetchall()
    # A relative path starts in the project's folder, whatever the working directory.
    assert row == (f"{PROJECT}/it's", "all", f"{PROJECT}/mine.csv", "/old")


def test_a_model_that_fails_leaves_its_older_table(sample, tmp_path):
    """An SQL model, and a Python model that an earlier build left unfinished."""

    def run(raw_root, *arguments):
        models = "run", "--select", "run_settings", "raw_files"
        return run_dbt(tmp_path, raw_root, *models, *arguments).success

    def ask(query, read_only=True):
        database = tmp_path / "etf_rotation.duckdb"
        with duckdb.connect(str(database), read_only=read_only) as connection:
            return connection.execute(query).fetchall()

    settings, files = "from staging.run_settings", "from staging.raw_files order by source_file"
    assert run(sample.raw_root)
    older = ask(settings), ask(files)
    assert not run(sample.raw_root, "--vars", "{duplicate_correlation: nonsense}")
    assert (ask(settings), ask(files)) == older

    ask("create table staging.raw_files__dbt_tmp as select 1 as unfinished", read_only=False)
    assert not run(tmp_path / "nowhere")
    assert ask(files) == older[1]
    assert run(sample.raw_root)
    assert ask(files) == older[1]
    names = ask("select table_name from duckdb_tables() where schema_name = 'staging'")
    assert sorted(names) == [("raw_files",), ("run_settings",)]


def test_the_engine_s_options_are_those_of_the_profile(monkeypatch):
    for name, option in (("ETF_MEMORY_LIMIT", "memory_limit"), ("ETF_THREADS", "threads")):
        monkeypatch.delenv(name, raising=False)
        default = f"'{name}', '{engine_options()[option]}'"
        assert default in (PROJECT / "profiles.yml").read_text()
    monkeypatch.setenv("ETF_MEMORY_LIMIT", "700MB")
    monkeypatch.setenv("ETF_THREADS", "3")
    options = engine_options()
    assert (options["memory_limit"], options["threads"]) == ("700MB", 3)


def _compiled_models(folder):
    models = folder / "target" / "compiled" / "etf_rotation" / "models"
    return {
        path.relative_to(models): path.read_text(encoding="utf-8")
        for path in models.rglob("*")
        # dbt keeps unit tests in folders named like their YAML file.
        if path.is_file() and ".yml" not in path.parent.name
    }


def test_no_model_asks_the_database_while_it_is_compiled(sample, tmp_path):
    """`dbt compile` then shows the same SQL that `dbt build` runs."""
    assert run_dbt(tmp_path, sample.raw_root, "compile", "--no-introspect").success
    compiled, built = (_compiled_models(folder) for folder in (tmp_path, sample.folder))
    built = {path: text.replace(str(sample.folder), str(tmp_path)) for path, text in built.items()}
    # These contain their build time.
    of_the_run = {"run_settings.sql", "run_metadata.sql", "int_gate_checks__built.sql"}
    different = {path.name for path, text in compiled.items() if built[path] != text}
    assert len(compiled) > 90
    assert different == of_the_run


def test_dbt_and_the_seed_lag_edges_allow_the_same_references(sample):
    nodes = json.loads((sample.folder / "target" / "manifest.json").read_text())["nodes"].values()
    models = [node for node in nodes if node["resource_type"] == "model"]
    with (SEEDS / "lag_edges.csv").open(encoding="utf-8", newline="") as file:
        edges = [(row["parent"], row["child"]) for row in csv.DictReader(file)]
    before = [node for node in models if node["fqn"][1] in ("staging", "factors")]
    # An exposure reads the last one; exposures have no group.
    free = {parent for parent, child in edges if child == "*"} | {"int_expectations__raw"}
    assert {node["name"] for node in before if node["access"] != "private"} == free
    folders = ("staging", "factors", "gate", "research")
    members = {
        node["name"]
        for node in models
        if node["group"] == "unlagged" and node["fqn"][1] not in folders
    }
    assert members == {child for _, child in edges} - {"*"}


def test_a_run_loads_the_seeds_that_have_no_table_as_dbt_seed_does(sample, tmp_path):
    assert run_dbt(tmp_path, sample.raw_root, "run", "--select", "run_settings").success
    seeds = sorted(path.stem for path in SEEDS.glob("*.csv"))
    with duckdb.connect(str(tmp_path / "etf_rotation.duckdb"), read_only=True) as connection:
        for seed in seeds:
            loaded, wanted = (
                build.sql(f"from seeds.{seed}") for build in (connection, sample.connection)
            )
            assert (loaded.columns, loaded.types) == (wanted.columns, wanted.types)
            assert loaded.fetchall() == wanted.fetchall()
