"""The schema `live` of a published run, and its warnings about damaged files."""

import datetime as dt
import hashlib
import json
import re

import duckdb
import pytest
from broker import SEEDS, Account, slip, trade, write_bars
from etf_rotation.console import Progress
from etf_rotation.production import snapshots
from etf_rotation.production.run import SHANGHAI, Production
from etf_rotation.production.settings import PROJECT
from etf_rotation.reconcile import live
from etf_rotation.report.page import REPORT, write_report
from finished_build import FinishedBuild, settings

# The stand-in build ends on 2020-02-22, a Saturday.
THU, FRI, MON = dt.date(2020, 2, 20), dt.date(2020, 2, 21), dt.date(2020, 2, 24)
NOON = dt.datetime(2020, 2, 24, 18, tzinfo=SHANGHAI)
TABLES = ("fills", "positions", "cash", "orders_filled", "tracking")


@pytest.fixture
def account(tmp_path):
    """An account that was reconciled on two sessions, and on one after the build's last."""
    made = Account(tmp_path / "account")
    bars = [(day, 3.9, 3.95) for day in (dt.date(2020, 2, 19), THU, FRI, MON)]
    write_bars(made.raw, {"510300.SH": bars})
    opening = made.opening("A_SHARE,CASH,100000", "A_SHARE,510300.SH,10000", "QDII,CASH,50000")
    made.reconcile(slip(trade("510300", "买入", 3.91, 1000, date=THU)), opening=opening)
    made.reconcile(slip(), date=str(FRI), positions=made.positions(f510300=11000, f161725=100))
    made.reconcile(slip(), date=str(MON))
    return made


def produce(account, *, at=NOON, **options):
    run = Production(
        settings(account.root, **options), Progress(), "run", lambda: at, FinishedBuild()
    )
    return run.run()


def query(account, sql):
    with duckdb.connect(str(account.root / snapshots.DATABASE), read_only=True) as connection:
        return connection.execute(sql).fetchall()


def test_a_run_publishes_the_account_up_to_its_last_session(account):
    outcome = produce(account)
    assert outcome.is_published
    assert query(account, "select trade_date from live.tracking order by 1") == [(THU,), (FRI,)]
    assert query(account, "select symbol, kind, shares, cash::varchar from live.fills") == [
        ("510300.SH", "buy", 1000, "-3915.00")
    ]
    assert query(
        account,
        "select pool, symbol, closing, broker from live.positions "
        f"where trade_date = '{FRI}' order by symbol",
    ) == [("outside", "161725.SZ", 100, 100), ("A_SHARE", "510300.SH", 11000, 11000)]
    assert query(
        account, f"select pool, closing::varchar from live.cash where trade_date = '{FRI}'"
    ) == [("A_SHARE", "96085.00"), ("QDII", "50000.00"), ("ACCOUNT", "146085.00")]
    assert query(
        account,
        "select status, (delay + execution + fees + missed = shortfall) from live.orders_filled",
    ) == [("not_ordered", True)]


def test_every_table_and_column_describes_itself(account):
    produce(account)
    names = query(account, "select table_name from duckdb_tables() where schema_name = 'live'")
    assert sorted(name for (name,) in names) == sorted(TABLES)
    undescribed = query(
        account,
        "select table_name, column_name from duckdb_columns() "
        "where schema_name = 'live' and coalesce(comment, '') = ''",
    )
    assert undescribed == []
    assert query(account, "select count(*) from duckdb_tables() where comment is not null") == [
        (5,)
    ]


def test_no_model_reads_the_account():
    models = [p for p in (PROJECT / "models").rglob("*") if p.suffix in (".sql", ".py")]
    assert len(models) > 90
    reads = re.compile(r"\b(?:from|join)\s+live\.|[\"']live\.")
    assert [path.name for path in models if reads.search(path.read_text("utf-8"))] == []


def test_without_a_reconciled_day_the_tables_are_there_and_empty(tmp_path):
    account = Account(tmp_path / "account")
    assert produce(account).is_published
    for table in TABLES:
        assert query(account, f"select count(*) from live.{table}") == [(0,)], table
    assert 'id="live"' not in (account.root / REPORT).read_text(encoding="utf-8")


def test_the_manifest_has_the_checksums_of_what_was_copied(account):
    produce(account)
    files = json.loads((account.root / "manifest.json").read_text())["live"]
    assert set(files) == {f"days/{THU}.json", f"days/{FRI}.json", "tracking.csv"}
    path = account.store.day_path(THU)
    assert files[f"days/{THU}.json"] == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-40],
        lambda content: content.replace(b"1000", b"9000"),
        lambda _: b"",
    ],
    ids=["cut", "changed", "emptied"],
)
def test_a_damaged_day_is_one_warning_and_the_rest_is_published(account, damage):
    path = account.store.day_path(THU)
    path.write_bytes(damage(path.read_bytes()))
    outcome = produce(account)
    assert outcome.is_published
    (found,) = [check for check in outcome.gate if check["check_name"] == "files_live"]
    assert (found["status"], found["value"]) == ("warn", 1)
    assert f"reconcile/days/{THU}.json" in found["message"]
    assert query(account, "select distinct trade_date from live.cash") == [(FRI,)]
    manifest = json.loads((account.root / "manifest.json").read_text())
    assert found in manifest["gate"]


def test_a_damaged_tracking_table_is_one_warning_and_comes_again(account):
    account.store.tracking_path.write_text("nonsense\n")
    outcome = produce(account)
    assert [c["value"] for c in outcome.gate if c["check_name"] == "files_live"] == [1]
    assert query(account, "select count(*) from live.tracking") == [(2,)]
    done = account.reconcile(slip(), date=str(MON))
    assert "reconcile/tracking.csv was damaged and was rebuilt" in done.text
    assert len(account.store.read_tracking()) == 3


def test_a_published_run_says_that_the_orders_cannot_be_kept(account, monkeypatch):
    def full(*arguments, **options):
        raise OSError(28, "No space left on device", "reconcile")

    monkeypatch.setattr(live.Store, "write_publication", full)
    outcome = produce(account)
    assert outcome.is_published
    assert "No space left on device" in outcome.afterwards


def test_a_run_of_parts_leaves_the_account_alone(account):
    before = account.kept()
    outcome = produce(account, select=("+factor_panel",), partial=("panels",))
    assert outcome.code == 0
    assert outcome.live is None
    assert {path: content for path, content in account.kept().items() if path in before} == before


def test_a_failed_run_does_not_fill_in_the_model(account):
    before = account.store.tracking_path.read_bytes()
    run = Production(
        settings(account.root), Progress(), "run", lambda: NOON, FinishedBuild(status="fail")
    )
    assert run.run().code == 1
    assert account.store.tracking_path.read_bytes() == before
    assert account.store.publications() == []


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", ("Live account", "reconciled account up to 2020-02-21", "Cash of 2020-02-21, CNY")),
        ("zh", ("实盘账户", "对账至 2020-02-21", "2020-02-21 的资金，元")),
    ],
)
def test_the_report_has_a_section_of_the_account(account, tmp_path, language, words):
    produce(account, is_synthetic=False)
    path = tmp_path / "report.html"
    database = account.root / snapshots.DATABASE
    write_report(database, path, language=language, is_synthetic=False)
    page = path.read_text(encoding="utf-8")
    (section,) = re.findall(r'<section id="live">.*?</section>', page, flags=re.DOTALL)
    assert '<a href="#live">' in page
    for word in words:
        assert word in section
    assert "96,085.00" in section
    assert "146,085.00" in section
    assert SEEDS.name_of["510300.SH"] not in section  # nothing was traded on the last session
