"""The comparison with the published build, also if that build is damaged."""

import shutil

import duckdb
import pytest
from conftest import damage, run_dbt
from etf_rotation.gate import published_figures

QUERIES = {
    "signals.factor_summary": "figure",
    "marts.pool_metrics_summary": "figure",
    "gate.gate_checks": "check",
    "gate.gate_violations": "finding",
}


@pytest.fixture
def copy(sample, tmp_path):
    return shutil.copy(sample.database, tmp_path / "published.duckdb")


def kinds(table):
    return {(row["kind"], row["name"]) for row in table.to_pylist() if row["kind"] == "fault"}


def test_figures_checks_and_findings_are_read(sample):
    table = published_figures.read(str(sample.database))
    assert table.schema == published_figures.SCHEMA
    assert set(table["kind"].to_pylist()) == {"figure", "check", "finding"}
    ((coverage,),) = sample.connection.execute(
        "select avg(coverage) from signals.factor_summary where pool = 'QDII'"
    ).fetchall()
    figures = {
        (row["pool"], row["name"]): row["value"]
        for row in table.to_pylist()
        if row["kind"] == "figure"
    }
    assert figures["QDII", "coverage"] == pytest.approx(coverage, rel=1e-12)
    assert figures.keys() >= {("PORTFOLIO", "annual_return"), ("PORTFOLIO", "max_drawdown")}


def test_before_the_first_run_there_is_nothing(tmp_path):
    assert published_figures.read("").num_rows == 0
    assert published_figures.read(str(tmp_path / "none.duckdb")).num_rows == 0


@pytest.mark.parametrize("table", QUERIES)
def test_a_bad_block_loses_only_its_table(table, copy):
    whole = published_figures.read(str(copy))
    damage(copy, table)
    read = published_figures.read(str(copy))
    assert kinds(read) == {("fault", table)}
    (fault,) = [row for row in read.to_pylist() if row["kind"] == "fault"]
    assert f"{copy}: {table} cannot be read (Corrupt database file" in fault["detail"]
    assert f"{copy}：{table} 无法读取" in fault["detail_zh"]
    rest = len(read) - 1
    lost = {"signals.factor_summary": 3, "marts.pool_metrics_summary": 8}.get(table)
    lost = lost or sum(kind == QUERIES[table] for kind in whole["kind"].to_pylist())
    assert rest == len(whole) - lost


def test_a_table_that_is_not_there_is_named(copy):
    with duckdb.connect(str(copy)) as connection:
        connection.execute("drop table gate.gate_violations")
    assert kinds(published_figures.read(str(copy))) == {("fault", "gate.gate_violations")}


def test_an_error_names_a_file_that_is_no_database(tmp_path):
    path = tmp_path / "published.duckdb"
    path.write_text("no database")
    (row,) = published_figures.read(str(path)).to_pylist()
    assert (row["kind"], row["name"]) == ("fault", None)
    assert "published.duckdb: the file cannot be read" in row["detail"]


# -------- the sample's gate, evaluated again beside a published build


ROW = (
    "select 'QDII' as pool, '{check}' as check_name, '{symbol}' as symbol, date '{date}' as "
    "trade_date, {value} as value, '{detail}' as detail, '{detail}' as detail_zh"
)
MODELS = (
    "run_settings",
    "int_published_build",
    "gate_violations",
    "gate_checks",
    "gate_resolved",
    "int_gate_checks__built",
)


def row(check, symbol, date, value=1, detail="found"):
    """SQL of a finding of QDII."""
    return ROW.format(check=check, symbol=symbol, date=date, value=value, detail=detail)


# Further findings of the build: three gaps.
GAPS = [row("no_row", "513100.SH", f"2024-03-{day:02}") for day in (4, 5, 6)]


@pytest.fixture(scope="module")
def judged(sample, tmp_path_factory):
    """Return what judges the sample and GAPS beside a published build, which is the same.

    Its arguments are SQL that changes the published build, and a table of it to damage.
    """
    folder = tmp_path_factory.mktemp("judged")
    database, before = folder / "etf_rotation.duckdb", folder / "before.duckdb"

    def judge(*statements, damaged=None, language="en"):
        shutil.copy(judged_once, before)
        with duckdb.connect(str(before)) as connection:
            for statement in statements:
                connection.execute(statement)
        models = list(MODELS)
        if damaged:
            damage(before, damaged)
            models.append("int_gate_observations")
        given = {"ETF_PUBLISHED_DATABASE": str(before), "ETF_LANGUAGE": language}
        arguments = ["--indirect-selection", "empty", "--select", *models]
        lines = []

        def hear(event):
            if event.info.name == "JinjaLogInfo":
                lines.append(event.info.msg)

        assert run_dbt(
            folder, sample.raw_root, "build", *arguments, callbacks=[hear], **given
        ).success
        with duckdb.connect(str(database), read_only=True) as connection:
            tables = {
                table: connection.sql(f"from gate.{table}").to_arrow_table().to_pylist()
                for table in ("gate_checks", "gate_violations", "gate_resolved")
            }
        return tables | {"console": lines}

    shutil.copy(sample.database, database)
    with duckdb.connect(str(database)) as connection:
        for gap in GAPS:
            connection.execute(f"insert into gate.int_gate_observations by name {gap}")
    judged_once = sample.database
    first = judge()
    assert {row["since"] for row in first["gate_violations"]} == {"new", "unchanged"}
    judged_once = shutil.copy(database, folder / "published.duckdb")
    return judge


COMPARES = {"factor_coverage_drop", "metrics_change", "published_build"}


def since(found, **wanted):
    return [
        row["since"]
        for row in found["gate_checks"]
        if all(row[name] == value for name, value in wanted.items())
    ]


def test_equal_findings_are_unchanged_and_none_is_resolved(judged):
    found = judged()
    assert {row["since"] for row in found["gate_violations"]} == {"unchanged"}
    for row in found["gate_checks"]:
        assert row["since"] == (None if row["check_name"] in COMPARES else "unchanged")
    assert found["gate_resolved"] == []


def test_a_finding_that_the_published_build_lacks_is_new_and_comes_first(judged):
    found = judged("delete from gate.gate_violations where trade_date = '2024-03-04'")
    new = [row for row in found["gate_violations"] if row["since"] == "new"]
    assert [(row["symbol"], str(row["trade_date"])) for row in new] == [("513100.SH", "2024-03-04")]
    (check,) = [row for row in found["gate_checks"] if row["since"] == "new"]
    assert (check["pool"], check["check_name"]) == ("QDII", "no_row")
    # By date alone it would be the last of the three.
    assert check["message"].startswith("3 is above 0: new: 513100.SH 2024-03-04 found; 513100.SH")
    assert check["message_zh"].startswith("3 高于 0：新增：513100.SH 2024-03-04 found；513100.SH")
    assert found["gate_resolved"] == []


def test_a_figure_of_the_latest_session_has_no_date_in_its_key(judged):
    found = judged(
        "update gate.gate_violations set trade_date = trade_date - 1 "
        "where check_name in ('sharpe', 'freshness', 'annual_return', 'max_drawdown')",
        "update gate.gate_violations set trade_date = trade_date - 1 "
        "where check_name = 'fund_ended'",
    )
    assert "new" not in since(found, check_name="sharpe")
    assert "new" in since(found, check_name="fund_ended")
    assert {row["check_name"] for row in found["gate_resolved"]} == {"fund_ended"}


def test_resolved_findings_are_named_unless_later_than_the_data(judged):
    found = judged(
        f"insert into gate.gate_violations by name {row('no_row', '513100.SH', '2024-03-01')}",
        f"insert into gate.gate_violations by name {row('no_row', '513100.SH', '2031-03-03')}",
    )
    (gone,) = found["gate_resolved"]
    assert (gone["pool"], gone["check_name"], gone["symbol"]) == ("QDII", "no_row", "513100.SH")
    assert str(gone["trade_date"]) == "2024-03-01"
    assert (gone["title"], gone["detail"]) == ("Fund without a row", "found")
    assert since(found, check_name="no_row", pool="QDII") == ["unchanged"]


def test_findings_that_share_a_key_are_matched_one_to_one(judged):
    twice = row("no_row", "513100.SH", "2024-03-04", detail="found otherwise")
    found = judged(f"insert into gate.gate_violations by name {twice}")
    # The finding with equal words is unchanged; the other is resolved.
    assert [gone["detail"] for gone in found["gate_resolved"]] == ["found otherwise"]
    assert {row["since"] for row in found["gate_violations"]} == {"unchanged"}


def test_a_check_that_is_worse_than_published_is_new(judged):
    found = judged("update gate.gate_checks set status = 'pass' where check_name = 'fund_ended'")
    worse = {row["pool"] for row in found["gate_checks"] if row["since"] == "new"}
    assert worse == {
        row["pool"]
        for row in found["gate_checks"]
        if row["check_name"] == "fund_ended" and row["status"] != "pass"
    }
    assert worse


def test_a_check_that_becomes_measurable_resolves_its_finding(judged):
    found = judged(
        "update gate.gate_checks set status = 'warn', value = null, message = 'no value' "
        "where check_name = 'annual_turnover' and pool = 'QDII'"
    )
    (gone,) = found["gate_resolved"]
    assert (gone["pool"], gone["check_name"]) == ("QDII", "annual_turnover")
    assert gone["detail"] == "no value"


@pytest.mark.parametrize(
    ("language", "standing"),
    [
        ("en", " warnings are unchanged since the published build: "),
        ("zh", " 项警告与已发布的构建相同："),
    ],
)
def test_the_console_folds_unchanged_warnings(language, standing, judged):
    found = judged(
        "delete from gate.gate_violations where trade_date = '2024-03-04'",
        f"insert into gate.gate_violations by name {row('no_row', '513100.SH', '2024-03-01')}",
        language=language,
    )
    *lines, counts, _ = found["console"]
    warned = [row for row in found["gate_checks"] if row["status"] == "warn"]
    assert counts.startswith(
        f"gate: {len(found['gate_checks'])} checks, 0 fail, {len(warned)} warn"
    )
    (folded,) = [line for line in lines if standing in line]
    assert folded.startswith(f"gate: {len(warned) - 1}{standing}")
    for check in warned:
        is_new = check["since"] == "new"
        told = [line for line in lines if line.startswith(f"gate  warn  {check['pool']:<9}")]
        told = [line for line in told if f" {check['check_name']} " in line]
        assert len(told) == is_new, check
        assert is_new or check["check_name"] in folded
    (line,) = [line for line in lines if line.startswith("gate  gone  QDII")]
    assert "513100.SH 2024-03-01 found" in line


@pytest.mark.parametrize(
    ("table", "compared"),
    [
        ("signals.factor_summary", True),
        ("marts.pool_metrics_summary", True),
        ("gate.gate_checks", False),
        ("gate.gate_violations", False),
    ],
)
def test_a_damaged_published_build_stops_no_gate(table, compared, judged):
    found = judged(damaged=table)
    (check,) = [row for row in found["gate_checks"] if row["check_name"] == "published_build"]
    assert check["status"] == "warn"
    assert f"{table} cannot be read (Corrupt database file" in check["message"]
    assert f"{table} 无法读取" in check["message_zh"]
    others = [row for row in found["gate_violations"] if row["check_name"] != "published_build"]
    assert {row["since"] for row in others} == ({"unchanged"} if compared else {None})
    assert set(since(found, check_name="no_row")) == ({"unchanged"} if compared else {None})
    # The gaps, which the sample does not have.
    assert len(found["gate_resolved"]) == (len(GAPS) if compared else 0)


def test_without_a_published_build_no_finding_is_new(sample):
    query = "select distinct since from gate.{}"
    for table in ("gate_checks", "gate_violations"):
        assert sample.connection.execute(query.format(table)).fetchall() == [(None,)]
    assert sample.connection.execute("from gate.gate_resolved").fetchall() == []
