"""Errors of a run before its build, and the publication of an earlier date."""

import shutil

import pytest
from etf_rotation.cli.main import main
from etf_rotation.errors import InputError
from etf_rotation.production import dry_run
from etf_rotation.production.settings import resolve


@pytest.fixture
def place(sample, tmp_path):
    """The options of a run on the sample's raw data, with nothing published yet."""
    return {"raw_root": str(sample.raw_root), "output_root": str(tmp_path / "etf")}


@pytest.fixture
def last(sample):
    """The last session of the sample."""
    (found,) = sample.connection.execute("select last_date from gate.run_metadata").fetchall()[0]
    return found


@pytest.fixture
def published(sample, place, tmp_path):
    """The same with the sample's build published."""
    run = tmp_path / "snapshots" / "20260102T180000"
    run.mkdir(parents=True)
    shutil.copy(sample.database, run)
    (tmp_path / "etf").symlink_to("snapshots/20260102T180000")
    return place


def test_an_earlier_date_is_published_only_when_asked(published, last):
    (why,) = resolve(published | {"as_of": "2022-01-04"}, {}).partial
    assert why.startswith(f"--as-of 2022-01-04 is before {last}")
    assert resolve(published | {"as_of": "2022-01-04", "publish": True}, {}).partial == ()
    assert resolve(published | {"as_of": str(last)}, {}).partial == ()
    assert resolve(published, {"ETF_AS_OF": "2022-01-04"}).partial != ()
    assert resolve(published, {}).partial == ()


def test_a_first_run_may_end_anywhere(place):
    assert resolve(place | {"as_of": "2022-01-04"}, {}).partial == ()


def test_an_output_folder_whose_database_is_gone_stops_no_run(published, tmp_path):
    (tmp_path / "etf" / "etf_rotation.duckdb").unlink()
    assert resolve(published | {"as_of": "2022-01-04"}, {}).partial == ()


def test_a_dry_run_says_what_the_build_would_read(sample, place, capsys, last, monkeypatch):
    monkeypatch.delenv("ETF_HOLDINGS_FILE", raising=False)
    options = [f"--{name.replace('_', '-')}={value}" for name, value in place.items()]
    assert main(["run", "--dry-run", *options]) == 0
    said = capsys.readouterr().out
    files, rows, funds, first = sample.connection.execute(
        "select count(distinct source_file), count(*), count(distinct raw_symbol), "
        "min(trade_date) from staging.raw_rows"
    ).fetchall()[0]
    assert f"{files} files, {rows:,} rows" in said
    assert f"{funds} funds from {first} to {last}" in said


@pytest.mark.parametrize(
    ("variables", "fault"),
    [
        ({"as_of": "1999-01-04"}, "no raw row"),
        ({"vars": "{backtest_start: soon}"}, "backtest_start is 'soon'"),
    ],
)
def test_a_dry_run_refuses_a_date_that_a_run_cannot_use(place, variables, fault):
    with pytest.raises(InputError, match=fault):
        dry_run.read_input(resolve(place | variables, {}), {})


def test_a_dry_run_reads_the_holdings_file(place, tmp_path):
    settings = resolve(place, {})
    data = dry_run.read_input(settings, {})
    assert dry_run.check_holdings(settings, {}, data) == ""
    path = tmp_path / "holdings.csv"
    variables = {"ETF_HOLDINGS_FILE": str(path)}
    with pytest.raises(InputError, match="cannot be read"):
        dry_run.check_holdings(settings, variables, data)
    path.write_text("pool,symbol,shares\nQDII,CASH,1000\nQDII,510300.SH,100\n")
    with pytest.raises(InputError, match="line 3: fund 510300.SH is not in pool QDII"):
        dry_run.check_holdings(settings, variables, data)
    path.write_text("pool,symbol,shares\nQDII,CASH,1000\n")
    assert dry_run.check_holdings(settings, variables, data) == str(path)
