"""User text becomes neither a path outside the run nor a spreadsheet formula."""

import csv

import duckdb
import pandas as pd
import pytest
from etf_rotation.console import Progress
from etf_rotation.errors import InputError
from etf_rotation.production import export
from etf_rotation.production.custom_pool import project_with_pool
from etf_rotation.production.run import Production
from etf_rotation.production.settings import PROJECT, resolve
from etf_rotation.research.results import write
from etf_rotation.staging.seed_checks import check_seeds
from finished_build import FinishedBuild, settings

NAMES = [
    "..",
    ".",
    "/abs",
    "a/b",
    "A_SHARE/../../../evil",
    "a\nb",
    "A ",
    "=cmd|'/c calc'!A1",
    "+A",
    "-A",
    "@A",
    "中国",
    "Ａ",
    "a.b",
    "'; drop table x; --",
    "x" * 41,
    "A\x00",
]
FORMULAS = ["=1+1", "+1", "-1+1", "@sum(1)", "\t=1", "\r=1", "=cmd|' /C calc'!A0"]
PLAIN = ["A=1", "a-b", "", "1+1", "510300.SH", 'ok, "quoted"', " =1", "'=1"]


def fund(pool="A", category="broad", symbol="510300.SH"):
    return (symbol, pool, category, "true")


@pytest.mark.parametrize("pool", NAMES)
def test_a_name_that_is_no_folder_is_refused_wherever_it_stands(pool, tmp_path):
    with pytest.raises(InputError) as in_funds:
        check_seeds([fund(pool)], [(pool, 1.0)])
    with pytest.raises(InputError, match="seed pool_constraints: the pool's name"):
        check_seeds([fund("A")], [("A", 1.0), (pool, 0.0)])
    with pytest.raises(InputError, match="--pool-name: the pool's name"):
        project_with_pool(PROJECT, tmp_path, ["510300.SH"], pool).__enter__()
    with pytest.raises(InputError, match="no pool ") as in_options:
        resolve({"pools": pool}, {})
    for error in (in_funds, in_options):
        assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize("pool", ["A", "A_SHARE", "x" * 40, "_1", "2024"])
def test_letters_digits_and_underscores_are_a_name(pool):
    check_seeds([fund(pool)], [(pool, 1.0)])


@pytest.mark.parametrize("pool", ["MARKET", "PORTFOLIO", "BUILD"])
def test_a_reserved_name_is_refused(pool, tmp_path):
    with pytest.raises(InputError, match="is reserved; choose another"):
        check_seeds([fund(pool)], [(pool, 1.0)])
    with pytest.raises(InputError, match="is reserved; choose another"):
        project_with_pool(PROJECT, tmp_path, ["510300.SH"], pool).__enter__()


@pytest.mark.parametrize("category", ["a\nb", "a\x1b[31m", "a\u2028b"])
def test_a_category_is_one_line(category):
    with pytest.raises(InputError, match="seed etf_pools: category .* holds a line break"):
        check_seeds([fund(category=category)], [("A", 1.0)])
    check_seeds([fund(category="宽基　A")], [("A", 1.0)])


def test_a_pool_that_reached_the_database_writes_nothing_outside_the_run(tmp_path):
    """The last defense: the export rejects a name even if all other checks let it pass."""

    class Evil(FinishedBuild):
        def __call__(self, its_settings, run, *arguments):
            built = super().__call__(its_settings, run, *arguments)
            with duckdb.connect(str(run / "etf_rotation.duckdb")) as connection:
                connection.execute(
                    "update signals.factor_panel set pool = 'A_SHARE/../../../evil' "
                    "where pool = 'QDII'"
                )
            return built

    root = tmp_path / "out" / "etf"
    outcome = Production(settings(root), Progress(), "run", builder=Evil()).run()
    assert (outcome.code, outcome.is_published) == (2, False)
    assert "cannot be the name of a folder" in outcome.fault
    assert not list(tmp_path.rglob("*evil*"))


@pytest.fixture
def cells(tmp_path):
    """Write texts and numbers as CSV files are exported; returns the file's rows as texts."""
    texts = [*FORMULAS, *PLAIN]
    path = tmp_path / "table.csv"
    with duckdb.connect() as connection:
        connection.execute('create table cells (number double, text varchar, "Odd name" varchar)')
        connection.executemany(
            "insert into cells values (?, ?, ?)",
            [(-0.5 - number, text, None) for number, text in enumerate(texts)],
        )
        export._write_csv(connection, "select * from cells order by number desc", path, False)
    with path.open(encoding="utf-8", newline="") as file:
        return texts, list(csv.DictReader(file))


def test_a_text_that_is_a_formula_is_escaped_in_a_csv_file(cells):
    texts, rows = cells
    found = [row["text"] for row in rows]
    assert found == [f"'{text}" for text in FORMULAS] + PLAIN
    assert len(texts) == len(rows)


def test_a_number_is_not_a_text(cells):
    _, rows = cells
    assert [float(row["number"]) for row in rows] == [-0.5 - n for n in range(len(rows))]
    assert {row["Odd name"] for row in rows} == {""}
    assert {row["is_synthetic"] for row in rows} == {"false"}


def test_a_sweep_escapes_texts_in_csv_and_leaves_parquet_alone(tmp_path):
    rows = [{"factors": text, "sharpe": -0.5} for text in FORMULAS]
    write(rows, tmp_path / "sweep.csv")
    with (tmp_path / "sweep.csv").open(encoding="utf-8", newline="") as file:
        written = list(csv.DictReader(file))
    assert [row["factors"] for row in written] == [f"'{text}" for text in FORMULAS]
    assert {row["sharpe"] for row in written} == {"-0.5"}
    write(rows, tmp_path / "sweep.parquet")
    assert list(pd.read_parquet(tmp_path / "sweep.parquet")["factors"]) == FORMULAS
